//! Conditions whose outcome in a worker is known before it runs. Pure.

use ruff_python_ast::{CmpOp, Expr, UnaryOp};

/// What a condition says of the code under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Always,
    /// On Linux, or outside of a type checker.
    Never,
    /// Only where the file is the program.
    InProgram,
    Unknown,
}

/// What a condition says.
pub(super) fn holds(test: &Expr) -> Holds {
    match test {
        Expr::Name(name) if name.id.as_str() == "TYPE_CHECKING" => Holds::Never,
        Expr::Attribute(attribute) if attribute.attr.as_str() == "TYPE_CHECKING" => Holds::Never,
        Expr::BooleanLiteral(literal) if literal.value => Holds::Always,
        Expr::BooleanLiteral(_) => Holds::Never,
        Expr::UnaryOp(not) if not.op == UnaryOp::Not => match holds(&not.operand) {
            Holds::Always => Holds::Never,
            Holds::Never => Holds::Always,
            Holds::InProgram | Holds::Unknown => Holds::Unknown,
        },
        Expr::BoolOp(all) if all.op == ruff_python_ast::BoolOp::And => {
            let said: Vec<Holds> = all.values.iter().map(holds).collect();
            if said.contains(&Holds::Never) {
                Holds::Never
            } else if said.contains(&Holds::InProgram) {
                Holds::InProgram
            } else {
                Holds::Unknown
            }
        }
        Expr::Compare(compare) => {
            let ([op], [right]) = (&compare.ops[..], &compare.comparators[..]) else {
                return Holds::Unknown;
            };
            let left = compare.left.as_ref();
            let equal = equal(left, right).or_else(|| equal_flipped(left, right));
            match (op, equal) {
                (CmpOp::Eq, Some(says)) => says,
                (CmpOp::NotEq, Some(Holds::Never)) => Holds::Always,
                (CmpOp::NotEq, Some(Holds::Always)) => Holds::Never,
                _ => Holds::Unknown,
            }
        }
        Expr::Call(call) => match call.func.as_ref() {
            // `sys.platform.startswith("win")`
            Expr::Attribute(method) if method.attr.as_str() == "startswith" => {
                match (called(&method.value), call.arguments.args.first()) {
                    (Some("platform"), Some(Expr::StringLiteral(prefix))) => {
                        says("linux".starts_with(prefix.value.to_str()))
                    }
                    _ => Holds::Unknown,
                }
            }
            _ => Holds::Unknown,
        },
        _ => Holds::Unknown,
    }
}

fn equal_flipped(left: &Expr, right: &Expr) -> Option<Holds> {
    equal(right, left)
}

/// A value of the platform, or the module's name, against a literal.
fn equal(value: &Expr, literal: &Expr) -> Option<Holds> {
    let Expr::StringLiteral(literal) = literal else {
        return None;
    };
    let literal = literal.value.to_str();
    match (value, called(value)?) {
        (Expr::Name(_), "__name__") => Some(if literal == "__main__" {
            Holds::InProgram
        } else {
            Holds::Unknown
        }),
        (Expr::Attribute(_), "platform") => Some(says(literal == "linux")),
        (Expr::Attribute(_), "name") if matches!(literal, "nt" | "posix" | "java") => {
            Some(says(literal == "posix"))
        }
        (Expr::Call(_), "system") => Some(says(literal == "Linux")),
        _ => None,
    }
}

fn says(holds: bool) -> Holds {
    if holds { Holds::Always } else { Holds::Never }
}

/// The last name of `sys.platform`, `os.name`, `platform.system()`, `__name__`.
fn called(value: &Expr) -> Option<&str> {
    match value {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => {
            let Expr::Name(module) = attribute.value.as_ref() else {
                return None;
            };
            let name = attribute.attr.as_str();
            matches!(
                (module.id.as_str(), name),
                ("sys", "platform") | ("os", "name") | ("platform", "system")
            )
            .then_some(name)
        }
        Expr::Call(call) => called(&call.func),
        _ => None,
    }
}
