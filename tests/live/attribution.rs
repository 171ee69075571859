//! Who it was: server, worker, process group, application group and script, where these are not as
//! plain as elsewhere. What Python in the worker says about each is what sigblame has to say.

use std::collections::HashSet;

use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Mpm, Place},
};

use crate::restriction::{Restriction, Watched, builder, pip, site, system, whole};

mod express;

const WORD: (Mpm, Restriction) = (Mpm::Event, Restriction::Default);

fn plain() -> Builder {
    builder(&system().unwrap(), whole, Mpm::Event)
}

/// Groups of several processes, with and without a name that `ps` shows: one names its processes as
/// mod_wsgi names those of another group.
#[test]
fn daemons_are_of_their_groups_whatever_they_are_called() {
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    let groups = [
        ("/plain", "plain", ""),
        ("/shown", "shown", "display-name=%{GROUP}"),
        ("/named", "named", "display-name=frontend"),
        ("/liar", "liar", "display-name=(wsgi:shown)"),
        // Longer than what there was on the command line.
        (
            "/long",
            "a-group-with-a-rather-long-name-for-a-group",
            "display-name=%{GROUP}",
        ),
    ];
    let mut builder = plain();
    for (mount, group, options) in groups {
        builder = builder
            .daemon(group, &format!("processes=2 threads=1 {options}"))
            .script(mount, "application.py", &Place::daemon(group, "site"));
    }
    let mut watched = Watched::start(&agent, &mut trace, builder, WORD);
    for (mount, group, _) in groups {
        let mut pids = HashSet::new();
        for _ in 0..200 {
            let visit = watched.go(mount, "one");
            assert_eq!(visit.answer["process_group"], group);
            pids.insert(visit.answer["pid"].as_u64().unwrap());
            watched.go(mount, "slip");
            watched.go(mount, "give_back");
            if pids.len() == 2 {
                break;
            }
        }
        assert_eq!(pids.len(), 2, "{mount}: each process was asked");
    }
    watched.settle();
}

/// Application groups that mod_wsgi makes up from a request, and scripts that share one.
#[test]
fn application_groups_and_scripts_are_mod_wsgis_own() {
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    let builder = plain().daemon("work", "processes=1 threads=2");
    let second = std::fs::read_to_string(builder.app_dir().join("application.py")).unwrap();
    let builder = builder.file("second.py", &second).unwrap();
    let app = builder.app_dir();
    let app = app.display();
    let builder = builder
        // %{RESOURCE}, the default: server, port and mount.
        .directive(format!(
            "WSGIScriptAlias /embedded-resource \"{app}/application.py\""
        ))
        .directive("<Location /server>")
        .directive("WSGIProcessGroup work")
        .directive("WSGIApplicationGroup %{SERVER}")
        .directive("</Location>")
        .directive(format!("WSGIScriptAlias /server \"{app}/application.py\""))
        .script("/one", "application.py", &Place::daemon("work", "shared"))
        .script("/other", "second.py", &Place::daemon("work", "shared"));
    let mut watched = Watched::start(&agent, &mut trace, builder, WORD);
    for mount in ["/embedded-resource", "/server", "/one", "/other"] {
        for way in ["one", "slip", "give_back"] {
            watched.go(mount, way);
        }
    }
    watched.settle();
}

/// Two servers at the same time, with different versions of everything and different words, asked in
/// turns: nothing of one is the other's.
#[test]
fn servers_beside_one_another_are_told_apart() {
    let agent = Agent::start().unwrap();
    let (mut first, mut second) = (Trace::start(&[]).unwrap(), Trace::start(&[]).unwrap());
    let other = pip(11).or_else(|_| system()).unwrap();
    let off = (Mpm::Prefork, Restriction::Off);
    let theirs = site(&other, whole, Mpm::Prefork, "");
    let ours = site(&system().unwrap(), whole, Mpm::Event, "");
    let mut theirs = Watched::start(&agent, &mut first, theirs, off);
    let mut ours = Watched::start(&agent, &mut second, ours, WORD);
    for _ in 0..2 {
        ours.round();
        theirs.round();
    }
    ours.settle();
    theirs.settle();
    assert!(ours.latest().all(|restricted| restricted));
    assert!(!theirs.latest().any(|restricted| restricted));
}

/// A program of another name, in a directory where no httpd is expected.
#[test]
fn httpd_of_another_name_is_a_server() {
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    let builder = site(&system().unwrap(), whole, Mpm::Worker, "");
    let builder = builder.own_httpd("frontend").unwrap();
    let word = (Mpm::Worker, Restriction::On);
    let mut watched = Watched::start(&agent, &mut trace, builder, word);
    watched.round();
    watched.settle();
}
