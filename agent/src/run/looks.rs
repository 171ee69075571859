//! When the loop looks at `/proc` by itself: for a process that nobody has told it of, and for a
//! handler in a module that it does not know.

use std::time::Instant as Moment;

use super::{Agent, clock};
use crate::{
    event::{Action, Event, Instant, NativeStack, Reason, StackCopy, What, decode},
    native::failed,
    process::{ModuleKind, Modules, ProcessKey, Role, stack},
};

/// How far up a process's parents are looked at: a worker's child is the third.
const GENERATIONS: usize = 8;
/// Looks at a daemon whose group does not show.
const GROUP_TRIES: u8 = 3;

impl Agent {
    /// Finds out what is missing before a registration or an attempt is taken in: the process
    /// itself, the module that its handler lies in, and who called whom.
    pub(super) fn prepare(&mut self, event: &mut Event, record: &[u8]) {
        let key = event.process;
        let known = self.engine.table.get(key).is_some();
        if !known {
            self.look_up_from(key, event.when);
        } else if !self.engine.table.knows_handlers(event) {
            let modules = if self.budget.allows(key, Moment::now()) {
                self.read(key, event.when)
            } else {
                // It registers in a loop, and nowhere that is mapped from a file: what was read
                // some milliseconds ago stands for what is mapped now.
                let process = self.engine.table.get(key).filter(|p| p.found.is_some());
                process.map(|p| p.modules.clone())
            };
            self.mapped(key, event.when, modules);
        }
        self.find_group(key, event.when);
        let when = event.when;
        let (handlers, python, native) = match &mut event.what {
            What::Registration(registration) => (
                [registration.old.action, registration.new.action],
                &registration.python,
                &mut registration.native,
            ),
            What::Attempted(attempt) => {
                ([Action::Default; 2], &attempt.python, &mut attempt.native)
            }
            _ => return,
        };
        let Some(copy) = decode::stack_copy(record) else {
            return;
        };
        if let Some(stack) = self.unwind(key, when, handlers, copy) {
            *native = stack;
        }
        if stack::is_astray(python, native) {
            self.look_again(key, when);
        }
    }

    /// Forgets what was noted for looks at a process that is gone, or that runs another program.
    pub(super) fn forget(&mut self, event: &Event) {
        if let What::Exited { .. } = event.what {
            self.watch.gone(event.process);
            self.budget.forget(event.process);
            self.stacks_budget.forget(event.process);
            self.groupless.remove(&event.process);
        }
        if let What::Exited { .. } | What::Executed { .. } = event.what {
            self.unwound.forget(event.process);
        }
    }

    /// Looks at a daemon again whose group is not known: it was looked at before it had closed the
    /// sockets of the other groups.
    fn find_group(&mut self, key: ProcessKey, when: Instant) {
        let is_known = self.engine.table.get(key).is_none_or(|process| {
            let server = self.engine.table.server(process.server);
            let configuration = server.and_then(|server| server.configuration(process.generation));
            !process.role.is_daemon()
                || configuration.is_none()
                || process.process_group(configuration).is_some()
        });
        if is_known {
            return;
        }
        let tries = self.groupless.entry(key).or_default();
        if *tries < GROUP_TRIES {
            *tries += 1;
            self.look_again(key, when);
        }
    }

    /// Tells the probe anew where a process's interpreter is: it was told wrongly, or not at all.
    ///
    /// A server maps its modules twice while it starts, at other addresses; a worker that was made
    /// in between has the first ones where its interpreter started before its file was probed.
    fn look_again(&mut self, key: ProcessKey, when: Instant) {
        self.within_budget(key, |agent| {
            let found = agent.watch.look(key.pid, when);
            if let Some(found) = found.filter(|found| found.process == key) {
                agent.whole(found);
            }
            Some(())
        });
    }

    /// A call's native stack; `None` of a process whose calls are counted only. `handlers` are the
    /// old and the new one, to be named, too.
    fn unwind(
        &mut self,
        key: ProcessKey,
        when: Instant,
        handlers: [Action; 2],
        copy: StackCopy<'_>,
    ) -> Option<NativeStack> {
        let role = self.engine.table.get(key).map(|process| process.role)?;
        if role == Role::Child {
            return None;
        }
        if self.stacks_budget.is_exhausted(key, Moment::now()) {
            return Some(failed(Reason::MapsUnknown));
        }
        let mut is_new = false;
        if !self.unwound.knows(key, Moment::now()) {
            is_new = true;
            self.look_for_code(key, when);
        }
        let (stack, unknown) = self.try_unwind(key, handlers, copy);
        if unknown && !is_new && self.look_for_code(key, when) {
            return Some(self.try_unwind(key, handlers, copy).0);
        }
        Some(stack)
    }

    /// Unwinds by what is known of the process's code, and charges it for that. Whether that was too
    /// little.
    fn try_unwind(
        &mut self,
        key: ProcessKey,
        handlers: [Action; 2],
        copy: StackCopy<'_>,
    ) -> (NativeStack, bool) {
        let now = Moment::now();
        let may_read = self.stacks_budget.allows(key, now);
        let unwound = self.unwound.unwind(key, handlers, copy, may_read);
        self.stacks_budget.spent(key, now, now.elapsed());
        unwound
    }

    /// Reads where code lies in a process. Whether it could.
    fn look_for_code(&mut self, key: ProcessKey, when: Instant) -> bool {
        let Some(modules) = self.read(key, when) else {
            return false;
        };
        let process = self.engine.table.get(key);
        if process.is_some_and(|process| process.modules != modules) {
            self.mapped(key, when, Some(modules));
        }
        true
    }

    fn mapped(&mut self, key: ProcessKey, when: Instant, modules: Option<Modules>) {
        if let Some(modules) = modules {
            self.whole(Event {
                when,
                process: key,
                tid: key.pid,
                what: What::Mapped(modules),
            });
        }
    }

    /// Takes in a process that nobody has told us of, after those parents of it that are as new:
    /// without its master a worker would pass for one. Its siblings may be as new: a scan follows.
    pub(super) fn look_up_from(&mut self, key: ProcessKey, when: Instant) {
        let mut line: Vec<Event> = self.watch.stranger(key, when).into_iter().collect();
        let is_new = !line.is_empty();
        while let Some(What::Found(found)) = line.last().map(|event| &event.what)
            && line.len() < GENERATIONS
            && let Some(parent) = found.parent
            && self.engine.table.get(parent).is_none()
        {
            match self.watch.look(parent.pid, when) {
                Some(event) if event.process == parent => line.push(event),
                _ => break,
            }
        }
        for event in line.into_iter().rev() {
            self.whole(event);
        }
        if is_new {
            self.scan();
        }
    }

    /// Reads what is mapped in a known process now, unless it has cost too much already.
    fn read(&mut self, key: ProcessKey, when: Instant) -> Option<Modules> {
        self.within_budget(key, |agent| agent.try_read(key, when))
    }

    /// Looks at a process and charges it for that, unless it has cost too much already.
    fn within_budget<T>(
        &mut self,
        key: ProcessKey,
        look: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let now = Moment::now();
        if !self.budget.allows(key, now) {
            return None;
        }
        let seen = look(self);
        self.budget.spent(key, now, now.elapsed());
        seen
    }

    fn try_read(&mut self, key: ProcessKey, when: Instant) -> Option<Modules> {
        let (modules, space) = self.watch.modules(key)?;
        self.unwound.learn(key, space, Moment::now());
        let process = self.engine.table.get(key)?;
        // A server that restarts loads its modules anew, at other addresses; its children will
        // inherit them, and the interpreter with them. Of a forked process nothing else is known
        // yet: its title, its container, its id inside that.
        let is_other = process.role == Role::Master && process.modules != modules;
        // Whoever loads Python by itself is seen without an interpreter until now.
        let has_python = |modules: &Modules| modules.has(ModuleKind::Python);
        let is_other = is_other || has_python(&modules) && !has_python(&process.modules);
        if (is_other || process.found.is_none())
            && let Some(found) = self.watch.look(key.pid, when)
        {
            self.whole(found);
        }
        Some(modules)
    }

    /// Looks at the candidates whose time has come.
    pub(super) fn look_at_candidates(&mut self) {
        let admitted = self.watch.candidates(clock::now());
        let is_new = !admitted.is_empty();
        for event in admitted {
            self.whole(event);
        }
        // Where its exec was heard late, the server may have made workers that the probe did not
        // take for a watched process's children.
        if is_new {
            self.scan();
        }
    }
}
