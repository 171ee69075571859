//! How deep a syntax tree may be, told before it is made. Pure.
//!
//! The parser's and our own walks go down the tree by calling themselves, and so does freeing it. A
//! file can nest as deep as it is long; CPython refuses what is deeper than some 200 brackets
//! (`MAXSTACK`, `Parser/lexer/state.h`: `MAXLEVEL`) or a few thousand operators (3.6 to 3.15), so
//! that nothing is lost by refusing it, too.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// Levels that are walked, each of which costs up to some kilobytes of stack (a debug build's).
pub(super) const LEVELS_MAX: usize = 5_000;

/// Whether the tree may be deeper than [`LEVELS_MAX`].
///
/// Everything nests by brackets, by indentation, or by operators of one expression; a comma ends an
/// expression. So the tokens between two commas, with those of the deepest thing in each bracket
/// among them, are an upper bound.
pub(super) fn is_too_deep(text: &str) -> bool {
    // Each level has a character of its own.
    if text.len() < LEVELS_MAX {
        return false;
    }
    let mut lexer = lexer::lex(text, Mode::Module);
    let mut open = vec![Bracket::default()];
    let mut levels = 0;
    let mut indents: usize = 0;
    loop {
        match lexer.next_token() {
            TokenKind::EndOfFile => return false,
            TokenKind::Indent => indents += 1,
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            TokenKind::Newline => {
                open.truncate(1);
                open[0] = Bracket::default();
                levels = 0;
            }
            TokenKind::Comma => {
                if let Some(last) = open.last_mut() {
                    levels -= last.expression;
                    last.deepest = last.deepest.max(last.expression);
                    last.expression = 0;
                }
            }
            TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart => {
                levels += 1;
                open.push(Bracket {
                    expression: 1,
                    deepest: 0,
                });
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd
                if open.len() > 1 =>
            {
                if let Some(inside) = open.pop()
                    && let Some(last) = open.last_mut()
                {
                    let deepest = inside.deepest.max(inside.expression);
                    levels += deepest - inside.expression;
                    last.expression += deepest;
                }
            }
            // Neighbouring strings are one operand, and these are none.
            TokenKind::String
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline
            | TokenKind::FStringMiddle
            | TokenKind::TStringMiddle => {}
            _ => {
                levels += 1;
                if let Some(last) = open.last_mut() {
                    last.expression += 1;
                }
            }
        }
        if levels + indents > LEVELS_MAX {
            return true;
        }
    }
}

/// What is inside of a bracket so far.
#[derive(Default)]
struct Bracket {
    /// Levels of the expression that is being read.
    expression: usize,
    /// Those of the deepest one before it.
    deepest: usize,
}
