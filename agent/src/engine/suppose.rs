//! The engine of a what-if, see [`crate::policy::suppose`]. Pure.

use std::borrow::Cow;

use super::{Engine, Step};
use crate::{
    policy::{
        self, Finding, Settings,
        suppose::{self, LetThrough},
    },
    process::table::{Blocked, Change, Context},
};

impl Engine {
    /// An engine for a what-if: where the settings force a restriction, calls are judged as they
    /// would have come out under it.
    #[must_use]
    pub fn supposing(settings: Settings) -> Self {
        Self {
            supposes: true,
            ..Self::new(settings)
        }
    }

    /// By what a process is judged.
    pub(super) fn settings_for(&self, context: &Context) -> Cow<'_, Settings> {
        if self.supposes {
            Cow::Owned(suppose::settings_for(&self.settings, context))
        } else {
            Cow::Borrowed(&self.settings)
        }
    }

    /// Enters a registration that would not have been one. Whether it is such.
    pub(super) fn suppose_swallowed(&mut self, change: &Change, step: &mut Step) -> bool {
        if !self.supposes || !suppose::is_swallowed(&self.settings, change) {
            return false;
        }
        let finding = suppose::swallowed(&self.settings, change, self.attempts);
        self.enter_attempt(&change.context, finding, step);
        true
    }

    /// What a blocked attempt is found to be.
    pub(super) fn judge_attempt(&self, blocked: &Blocked, step: &mut Step) -> Option<Finding> {
        if !self.supposes || self.settings.restriction != Some(policy::rules::Restriction::Off) {
            return policy::judge_attempt(&self.settings, blocked, self.attempts);
        }
        match suppose::let_through(&self.settings, blocked, self.attempts) {
            LetThrough::Finding(finding) => Some(*finding),
            LetThrough::Nothing(why) => {
                step.supposed = why;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
