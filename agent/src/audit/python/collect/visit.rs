//! What each statement and each expression adds to the model. Pure.

use ruff_python_ast::{
    ExceptHandler, Expr, Pattern, Stmt,
    visitor::{self, Visitor},
};

use super::{Bound, Collector, defaults};
use crate::audit::python::model::{Binding, Call, MODULE, NAME_MAX, STARS_MAX};

impl<'a> Visitor<'a> for Collector<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(def) => self.function(def),
            Stmt::ClassDef(def) => self.class(def),
            Stmt::If(branches) => self.branches(branches),
            Stmt::Import(import) => {
                for alias in &import.names {
                    let name = alias.name.as_str();
                    self.import(name, import.range.start());
                    match &alias.asname {
                        Some(new) => self.bind(new.as_str(), imported(name.to_owned())),
                        None => {
                            let first = name.split('.').next().unwrap_or(name);
                            self.bind(first, imported(first.to_owned()));
                        }
                    }
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map(|module| module.as_str());
                // A package's own module of this name is another one.
                let module = module.filter(|_| import.level == 0);
                if let Some(module) = module {
                    self.import(module, import.range.start());
                }
                for alias in &import.names {
                    let name = alias.name.as_str();
                    if let (Some(module), "*") = (module, name) {
                        if self.model.stars.len() < STARS_MAX && module.len() <= NAME_MAX {
                            self.model.stars.push(module);
                        }
                        continue;
                    }
                    let binding = module.map_or(Binding::Unknown, |module| {
                        imported(format!("{module}.{name}"))
                    });
                    let new = alias.asname.as_ref().map_or(name, |new| new.as_str());
                    self.bind(new, binding);
                }
            }
            Stmt::Assign(assign) => {
                self.visit_expr(&assign.value);
                for target in &assign.targets {
                    self.assign(target, Bound::Whole(&assign.value));
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.visit_expr(value);
                    self.assign(&assign.target, Bound::Whole(value));
                }
            }
            Stmt::AugAssign(assign) => {
                self.visit_expr(&assign.value);
                self.assign(&assign.target, Bound::Unknown);
            }
            Stmt::For(each) => {
                self.visit_expr(&each.iter);
                self.assign(&each.target, Bound::Elements(&each.iter));
                self.visit_body(&each.body);
                self.visit_body(&each.orelse);
            }
            Stmt::With(with) => {
                for item in &with.items {
                    self.visit_expr(&item.context_expr);
                    if let Some(target) = &item.optional_vars {
                        self.assign(target, Bound::Unknown);
                    }
                }
                self.visit_body(&with.body);
            }
            Stmt::Global(global) => {
                for name in &global.names {
                    self.elsewhere(name.as_str(), MODULE);
                }
            }
            Stmt::Nonlocal(nonlocal) => {
                let parent = self.model.scopes.get(self.scope).and_then(|s| s.parent);
                for name in &nonlocal.names {
                    self.elsewhere(name.as_str(), parent.unwrap_or(MODULE));
                }
            }
            other => visitor::walk_stmt(self, other),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => {
                self.model.calls.push(Call {
                    call,
                    scope: self.scope,
                    context: self.context,
                });
                visitor::walk_expr(self, expr);
            }
            Expr::Named(named) => {
                self.visit_expr(&named.value);
                self.assign(&named.target, Bound::Whole(&named.value));
            }
            Expr::Lambda(lambda) => {
                let parameters = lambda.parameters.as_deref();
                for default in parameters.into_iter().flat_map(defaults) {
                    self.visit_expr(default);
                }
                let function = self.new_function("<lambda>", parameters);
                self.model.lambdas.insert(lambda.range.start(), function);
                let parameters = parameters.map(|parameters| (parameters, None));
                self.inside(function, parameters, |inner| inner.visit_expr(&lambda.body));
            }
            Expr::ListComp(it) => self.comprehension(&it.generators, &[&it.elt]),
            Expr::SetComp(it) => self.comprehension(&it.generators, &[&it.elt]),
            Expr::Generator(it) => self.comprehension(&it.generators, &[&it.elt]),
            Expr::DictComp(it) => {
                let key = it.key.as_deref();
                let elements: Vec<&Expr> = key.into_iter().chain([&*it.value]).collect();
                self.comprehension(&it.generators, &elements);
            }
            other => visitor::walk_expr(self, other),
        }
    }

    fn visit_annotation(&mut self, _: &'a Expr) {
        // It changes nothing, and in most files it is never evaluated.
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.bind(name.as_str(), Binding::Unknown);
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(it) => it.name.as_ref(),
            Pattern::MatchStar(it) => it.name.as_ref(),
            Pattern::MatchMapping(it) => it.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(name.as_str(), Binding::Unknown);
        }
        visitor::walk_pattern(self, pattern);
    }
}

fn imported<'a>(path: String) -> Binding<'a> {
    match path.len() {
        ..=NAME_MAX => Binding::Import(path),
        _ => Binding::Unknown,
    }
}
