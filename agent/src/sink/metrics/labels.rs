//! Labels with a fixed set of values.

use crate::event::What;

macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every value of the label.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The label's value.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

labels! {
    /// `kind` of `sigblame_events_total`.
    EventKind {
        /// A disposition was set, or refused.
        Registration = "registration",
        /// A call of `signal.signal` was blocked by mod_wsgi.
        Attempt = "attempt",
        /// A process made another.
        Fork = "fork",
        /// A process runs another program.
        Exec = "exec",
        /// A process ended.
        Exit = "exit",
        /// A registration in a child that an application made.
        Exempt = "exempt",
        /// A signal was sent to a process, or taken by it.
        Signal = "signal",
        /// The scan of `/proc` found a process.
        Found = "found",
        /// The inventory brought a process's dispositions.
        Inventory = "inventory",
    }
}

labels! {
    /// `stage` of `sigblame_events_lost_total`.
    Stage {
        /// The ring had no room.
        Ring = "ring",
        /// The record could not be decoded.
        Decode = "decode",
        /// A blocked attempt in an error log that does not tell whose it is, or of a worker that had
        /// ended when it was read.
        ErrorLog = "error-log",
    }
}

impl EventKind {
    /// The kind under which an event is counted; `None` for a follow-up of our own.
    #[must_use]
    pub fn of(what: &What) -> Option<Self> {
        match what {
            What::Registration(_) => Some(Self::Registration),
            What::Forked { .. } => Some(Self::Fork),
            What::Executed { .. } => Some(Self::Exec),
            What::Exited { .. } => Some(Self::Exit),
            What::Found(_) => Some(Self::Found),
            What::Inventory(_) | What::Masks { .. } => Some(Self::Inventory),
            What::Attempted(_) => Some(Self::Attempt),
            What::Sent(_) | What::Delivered(_) => Some(Self::Signal),
            What::Mapped(_)
            | What::Reloads
            | What::Configured { .. }
            | What::Named(_)
            | What::Lost(_)
            | What::Reclaimed { .. }
            | What::Overdue
            | What::Resumed(_) => None,
        }
    }
}
