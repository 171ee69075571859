//! One process, and what is known of it. Pure.

use crate::{
    event::{Disposition, Dispositions, Signal},
    httpd::{Configuration, DaemonGroup, GLOBAL, InForce},
    process::{
        Found, Modules, ProcessKey, Role,
        application::Learned,
        origin::{self, Owner},
        server::ServerId,
        stance::Stance,
        takeover::Takeovers,
    },
};

use super::known::{Known, Told};

/// One process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its identity.
    pub key: ProcessKey,
    /// Its server.
    pub server: ServerId,
    /// Its part in it.
    pub role: Role,
    /// Process id in its own pid namespace.
    pub ns_pid: Option<u32>,
    /// What is mapped.
    pub modules: Modules,
    /// What was found out about it, where it was looked at.
    pub found: Option<Found>,
    /// What stands on each signal.
    pub dispositions: Box<Dispositions>,
    /// How many times its server had begun to read its configuration when this process was made.
    pub generation: u32,
    /// What is known of its interpreters.
    pub(super) learned: Learned,
    /// The process whose table of handlers it shares.
    pub(super) shares_with: Option<ProcessKey>,
    pub(super) parent: Option<ProcessKey>,
    pub(super) takeovers: Takeovers,
    /// It has registered a server's handler for SIGTERM: it is a real master or worker, not
    /// the first process of an httpd that goes into the background.
    pub(super) serves: bool,
    /// The modules were read for the event that comes next.
    pub(super) fresh: bool,
    /// The modules were those of the parent when it forked, and not read from this process.
    pub(super) inherited: bool,
    /// How well its dispositions are known.
    pub(super) known: Known,
    /// Some of its takeovers are those of an agent before, and no inventory came since.
    pub(super) adopted: bool,
}

impl Process {
    /// What stands on a signal.
    #[must_use]
    pub fn disposition(&self, signal: Signal) -> &Disposition {
        &self.dispositions[signal.index()]
    }

    /// What stands on a signal by the kernel's last word, though no event explains it yet.
    #[must_use]
    pub fn standing(&self, signal: Signal) -> &Disposition {
        let suspect = self.known.suspects.get(&signal);
        suspect.map_or_else(|| self.disposition(signal), |suspect| &suspect.stands)
    }

    /// Since when that stands there, as far as it was seen, and who told; `None` where nobody has
    /// looked yet.
    #[must_use]
    pub fn told(&self, signal: Signal) -> Option<Told> {
        let told = self.known.told(signal);
        match self.known.suspects.get(&signal) {
            Some(suspect) => Some(Told {
                since: suspect.first,
                by: suspect.by,
            }),
            None => told,
        }
    }

    /// The same by whose it is.
    #[must_use]
    pub fn stance(&self, signal: Signal) -> Stance {
        let action = self.disposition(signal).action;
        Stance::of(action, self.owner(signal).as_ref())
    }

    /// Whether it runs Python, and is not a child of one that does.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.role.is_daemon() || self.role == Role::Embedded
    }

    /// Who owns what stands on a signal; `None` for default and ignore.
    #[must_use]
    pub fn owner(&self, signal: Signal) -> Option<Owner> {
        origin::owner(&self.modules, false, self.disposition(signal).action)
    }

    /// The process group of a daemon; `None` for an embedded worker, and where nothing tells.
    ///
    /// A daemon keeps one listening socket, its group's, whose name ends in the group's place among
    /// the configuration's (`wsgi_start_daemons`, mod_wsgi 4.7 to 6.1). Else its title may tell
    /// (`display-name=%{GROUP}` makes it `(wsgi:GROUP)`), or there is one group only.
    #[must_use]
    pub fn process_group(&self, configuration: Option<&Configuration>) -> Option<String> {
        self.group(configuration).map(str::to_owned)
    }

    /// The same, borrowed.
    pub(super) fn group<'a>(&'a self, configuration: Option<&'a Configuration>) -> Option<&'a str> {
        let is_daemon = self.role.is_daemon();
        is_daemon
            .then(|| self.daemon_group(configuration))
            .flatten()
    }

    /// Its running takeovers.
    #[must_use]
    pub fn takeovers(&self) -> &Takeovers {
        &self.takeovers
    }

    /// The process group, if this is a daemon.
    pub(super) fn daemon_group<'a>(
        &'a self,
        configuration: Option<&'a Configuration>,
    ) -> Option<&'a str> {
        let groups = configuration.map_or(&[][..], |configuration| &configuration.daemons);
        let number = self.found.as_ref().and_then(|found| found.daemon);
        let by_socket = number
            .and_then(|number| groups.get(usize::try_from(number).ok()?.checked_sub(1)?))
            .map(|group| group.name.as_str());
        let by_count = || match groups {
            [group] => Some(group.name.as_str()),
            _ => None,
        };
        by_socket.or_else(|| self.title(groups)).or_else(by_count)
    }

    /// The group that the title shows, in full.
    fn title<'a>(&'a self, groups: &'a [DaemonGroup]) -> Option<&'a str> {
        let command = self.found.as_ref()?.command.as_str();
        let is_shown = |group: &&DaemonGroup| {
            let shown = group.display_name.as_deref();
            shown.is_some_and(|name| name != "%{GROUP}" && command.starts_with(name))
        };
        let mut own = groups.iter().filter(is_shown);
        if let (Some(group), None) = (own.next(), own.next()) {
            return Some(&group.name);
        }
        let group = command.strip_prefix("(wsgi:")?.split_once(')')?.0;
        (!group.is_empty()).then_some(group)
    }

    /// What the configuration calls the process's group: the empty name is embedded mode; `None`
    /// where nothing tells.
    #[must_use]
    pub fn group_name(&self, configuration: Option<&Configuration>) -> Option<String> {
        if self.role.is_daemon() {
            self.process_group(configuration)
        } else {
            Some(String::new())
        }
    }

    /// The restriction in force in one of its interpreters, by the configuration.
    #[must_use]
    pub fn restriction(
        &self,
        configuration: &Configuration,
        application_group: Option<&str>,
    ) -> InForce {
        let group = self.group_name(Some(configuration));
        if self.role == Role::ServiceScript {
            let group = group.and_then(|group| configuration.daemon(&group));
            return InForce {
                on: false,
                place: group.map(|group| group.place.clone()),
            };
        }
        // The configuration calls the main interpreter by the empty name.
        let application_group =
            application_group.map(|name| if name == GLOBAL { "" } else { name });
        configuration.restriction(group.as_deref(), application_group)
    }
}
