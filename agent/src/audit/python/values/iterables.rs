//! What is in tuples, lists and dictionaries that are written in a file. Pure.

use ruff_python_ast::{Expr, ExprCall};

use super::{Evaluator, VALUES_MAX, Value};
use crate::audit::python::model::ScopeId;

impl<'a> Evaluator<'_, 'a> {
    /// A part of a value: positions in tuples within tuples.
    pub(super) fn part(&self, value: Value<'a>, path: &[usize], values: &mut Vec<Value<'a>>) {
        let [first, rest @ ..] = path else {
            values.push(value);
            return;
        };
        match value {
            Value::Items(items, scope) => match items.get(*first) {
                Some(item) => {
                    for value in self.eval(item, scope) {
                        self.part(value, rest, values);
                    }
                }
                None => values.push(Value::Unknown),
            },
            _ => values.push(Value::Unknown),
        }
    }

    /// Each element of an iterable, or a part of each.
    pub(super) fn element(
        &self,
        iterable: &'a Expr,
        scope: ScopeId,
        path: &[usize],
    ) -> Vec<Value<'a>> {
        let mut values = Vec::new();
        for iterable in self.eval(iterable, scope) {
            match iterable {
                Value::Items(items, scope) => {
                    for item in items.iter().take(VALUES_MAX) {
                        for value in self.eval(item, scope) {
                            self.part(value, path, &mut values);
                        }
                    }
                }
                Value::Dict(dict, scope) => {
                    for key in dict.items.iter().take(VALUES_MAX) {
                        if let Some(key) = &key.key {
                            for value in self.eval(key, scope) {
                                self.part(value, path, &mut values);
                            }
                        }
                    }
                }
                Value::Pairs(dict, scope) => {
                    for item in dict.items.iter().take(VALUES_MAX) {
                        let side = match path.first() {
                            Some(0) => item.key.as_ref(),
                            Some(1) => Some(&item.value),
                            _ => None,
                        };
                        let rest = path.get(1..).unwrap_or_default();
                        for value in side.into_iter().flat_map(|side| self.eval(side, scope)) {
                            self.part(value, rest, &mut values);
                        }
                    }
                }
                _ => values.push(Value::Unknown),
            }
        }
        values
    }

    /// `X.items()` and `X.keys()` of a dictionary that is written in the file.
    pub(super) fn of_dict(
        &self,
        call: &'a ExprCall,
        method: &str,
        scope: ScopeId,
    ) -> Vec<Value<'a>> {
        let Expr::Attribute(attribute) = call.func.as_ref() else {
            return vec![Value::Unknown];
        };
        let objects = self.eval(&attribute.value, scope).into_iter();
        let view = |object| match (object, method) {
            (Value::Dict(dict, scope), "items") => Value::Pairs(dict, scope),
            (dict @ Value::Dict(..), _) => dict,
            _ => Value::Unknown,
        };
        objects.map(view).collect()
    }
}
