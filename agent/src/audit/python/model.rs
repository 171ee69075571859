//! What a module's names stand for: scopes, functions and classes, as they are written. Pure.

use std::{cell::Cell, collections::HashMap};

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::TextSize;

/// Index into [`Model::scopes`].
pub(super) type ScopeId = usize;
/// Index into [`Model::functions`].
pub(super) type FunctionId = usize;
/// Index into [`Model::classes`].
pub(super) type ClassId = usize;

/// The module's own scope.
pub(super) const MODULE: ScopeId = 0;

/// Bytes of a name, dotted or qualified. Names are copied with every value: longer ones are nobody's,
/// and stand for nothing that is known.
pub(super) const NAME_MAX: usize = 512;
/// Tuples within tuples, in what is assigned to: each name in them has a path of its own.
pub(super) const PARTS_MAX: usize = 8;
/// Modules whose names were all imported.
pub(super) const STARS_MAX: usize = 40;

/// Everything that is known of a module before anything is evaluated.
#[derive(Default)]
pub(super) struct Model<'a> {
    /// Values that all questions about the file may still cost.
    pub(super) fuel: Cell<u32>,
    pub(super) scopes: Vec<Scope<'a>>,
    pub(super) functions: Vec<Function>,
    pub(super) classes: Vec<Class<'a>>,
    /// Modules whose names were all imported (`from signal import *`).
    pub(super) stars: Vec<&'a str>,
    pub(super) lambdas: HashMap<TextSize, FunctionId>,
    pub(super) calls: Vec<Call<'a>>,
    /// Functions that are called by being decorators.
    pub(super) decorators: Vec<(&'a Expr, ScopeId, Context)>,
    /// Modules that are imported, with their places.
    pub(super) imports: Vec<(&'a str, TextSize, Context)>,
    /// The calls that are known of each function, by index into `calls`: found by evaluation.
    pub(super) callers: HashMap<FunctionId, Vec<usize>>,
}

/// A call, where it stands.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) call: &'a ExprCall,
    pub(super) scope: ScopeId,
    pub(super) context: Context,
}

/// When code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Context {
    /// On import.
    Module,
    /// When the function is called.
    Function(FunctionId),
    /// When the file is the program.
    Program,
}

/// A namespace.
pub(super) struct Scope<'a> {
    pub(super) parent: Option<ScopeId>,
    pub(super) kind: ScopeKind,
    pub(super) names: HashMap<&'a str, Vec<Binding<'a>>>,
    /// Names that are another scope's (`global`, `nonlocal`).
    pub(super) elsewhere: HashMap<&'a str, ScopeId>,
}

/// What kind of namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ScopeKind {
    Module,
    Function,
    /// Not seen from the functions in it.
    Class(ClassId),
    Comprehension,
}

/// A function or a lambda.
pub(super) struct Function {
    pub(super) name: String,
    /// Names of its parameters by position.
    pub(super) parameters: Vec<String>,
    /// The first parameter is the object.
    pub(super) is_method: bool,
    /// It is made where the file is the program.
    pub(super) in_program: bool,
}

/// A class.
pub(super) struct Class<'a> {
    pub(super) scope: ScopeId,
    pub(super) bases: Vec<(&'a Expr, ScopeId)>,
    /// What its methods put into the object.
    pub(super) attributes: HashMap<&'a str, Vec<Binding<'a>>>,
}

/// What a name was bound to.
#[derive(Clone)]
pub(super) enum Binding<'a> {
    /// Something of another module, by its dotted name.
    Import(String),
    /// A value, or a part of it: positions in nested tuples.
    Value(&'a Expr, ScopeId, Vec<usize>),
    /// Each element of an iterable, or a part of it.
    Element(&'a Expr, ScopeId, Vec<usize>),
    Function(FunctionId),
    Class(ClassId),
    /// The object of a method, or its class.
    Itself(ClassId),
    /// A parameter by its position, with its default.
    Parameter(FunctionId, usize, Option<(&'a Expr, ScopeId)>),
    Unknown,
}
