//! `/proc` texts as kernels write them, and as somebody would who wants to confuse us.

use proptest::prelude::*;

use super::*;

const TAIL: &str =
    " S 41 42 42 0 -1 4194624 900 0 0 0 3 2 0 0 20 0 54 0 987654 2 3 18446744073709551615 1 1 0 0";

#[test]
fn stat_of_a_worker() {
    let expected = Stat {
        pid: 42,
        comm: "apache2".into(),
        parent: 41,
        start: 987_654,
    };
    assert_eq!(stat(&format!("42 (apache2){TAIL}\n")), Some(expected));
}

#[test]
fn a_name_in_stat_cannot_fake_fields() {
    for name in ["a b", "x) R 1 (y", "1 (a) S 2 3", ")", "(", "", "\n", "ä)"] {
        let found = stat(&format!("7 ({name}){TAIL}")).expect(name);
        assert_eq!((found.comm.as_str(), found.parent), (name, 41));
        assert_eq!(found.start, 987_654);
    }
}

#[test]
fn a_cut_stat_is_none() {
    let whole = format!("42 (apache2){TAIL}");
    let start = whole.find(" 987654").expect("field 22");
    assert!((0..=start).all(|end| stat(&whole[..end]).is_none()));
    assert_eq!(stat("-1 (x) S 1"), None);
}

#[test]
fn status_gives_the_innermost_pid() {
    let text = "Name:\tapache2\nUmask:\t0022\nTgid:\t4242\nNgid:\t0\nPid:\t4243\nPPid:\t1\n\
                Uid:\t0\t33\t33\t33\nGid:\t33\t33\t33\t33\nNSpid:\t4242\t77\t7\n";
    let expected = Status {
        tgid: 4242,
        ns_pid: 7,
        uid: 33,
    };
    assert_eq!(status(text), Some(expected));
    let flat = status("Tgid:\t9\nUid:\t0\t0\t0\t0\n").expect("no pid namespaces");
    assert_eq!(flat.ns_pid, 9);
    assert_eq!(status("Name:\tTgid:\\n1\nUid:\t0\t0\t0\t0\n"), None);
    assert_eq!(status("Tgid:\t9\nUid:\t0\t0\nNSpid:\t\n"), None);
}

/// Lines of Linux 6.18, one with a blank in its path.
#[test]
fn unix_sockets_of_a_network() {
    let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
        000000001fc4767a: 00000003 00000000 00000000 0001 03  1079\n\
        000000001a956cfc: 00000002 00000000 00010000 0001 01 104711 /run/a b/wsgi.40.0.1.sock\n\
        000000001a956cfd: 00000002 00000000 00010000 0001 01    12 @abstract\n\
        000000001a956cfe: 00000002 00000000 0001\n";
    let socket = |inode, listens, path| UnixSocket {
        inode,
        listens,
        path,
    };
    let expected = [
        socket(1079, false, ""),
        socket(104_711, true, "/run/a b/wsgi.40.0.1.sock"),
        socket(12, true, "@abstract"),
    ];
    assert_eq!(unix_sockets(text).collect::<Vec<_>>(), expected);
    assert_eq!(socket_inode("socket:[104711]"), Some(104_711));
    for link in ["pipe:[1]", "socket:[]", "socket:[x]", "/dev/null", ""] {
        assert_eq!(socket_inode(link), None);
    }
}

/// Lines of Linux 6.18.
#[test]
fn tcp_sockets_that_listen() {
    let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    let listens = "   0: 0100007F:2694 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 00000000a3b8e3a1 100 0 0 10 0";
    let connected = listens.replace(" 0A ", " 01 ");
    assert_eq!(tcp_listener(listens), Some(4711));
    for line in [head, &connected, "", "0: a b 0A c"] {
        assert_eq!(tcp_listener(line), None, "{line}");
    }
}

#[test]
fn maps_lines() {
    let line = "7f3a1c228000-7f3a1c25d000 r-xp 0000b000 fe:01 1311543                    \
                /usr/lib/a b/mod (x).so (deleted)";
    let expected = Mapping {
        start: 0x7f3a_1c22_8000,
        end: 0x7f3a_1c25_d000,
        executable: true,
        offset: 0xb000,
        file: Some(FileId {
            device: 0xfe << 20 | 1,
            inode: 1_311_543,
        }),
        path: "/usr/lib/a b/mod (x).so".into(),
        deleted: true,
    };
    assert_eq!(mapping(line), Some(expected));

    let anonymous = mapping("00400000-00401000 rw-p 00000000 00:00 0 ").expect("anonymous");
    assert_eq!((anonymous.file, anonymous.path.as_str()), (None, ""));
    let vdso = "7ffd7b3f0000-7ffd7b3f2000 r-xp 00000000 00:00 0                          [vdso]";
    let vdso = mapping(vdso).expect("vdso");
    assert_eq!((vdso.file, vdso.path.as_str()), (None, "[vdso]"));
    assert!(vdso.executable && !vdso.deleted);
}

#[test]
fn what_is_no_maps_line_is_left_out() {
    for line in [
        "",
        "-",
        "1000 r-xp 0 00:00 0",
        "2000-1000 r-xp 0 00:00 0",
        "1000-2000 r-xp 0 00:00",
        "1000-2000 rx 0 00:00 0",
        "1000-2000 r-xp 0 ffffffff:ffffffff 1",
        "+1000-2000 r-xp 0 00:00 0",
        "1000-2000 r-xp 0 00:00 -1",
        "1000-20000000000000000 r-xp 0 00:00 0",
    ] {
        assert_eq!(mapping(line), None, "{line}");
    }
    assert_eq!(mappings("x\n1000-2000 r-xp 0 00:00 0\ny").count(), 1);
}

/// A container id of the right length.
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// A pod's uid as Kubernetes writes it.
const POD: &str = "8d5f3c2a-1b2c-4d3e-9f00-0123456789ab";

#[test]
fn containers_of_every_runtime() {
    let pod = POD.replace('-', "_");
    let slice = "/kubepods.slice/kubepods-burstable.slice";
    let hash = &ID[..32];
    for (text, uid) in [
        (format!("0::/system.slice/docker-{ID}.scope\n"), None),
        (
            format!("0::/machine.slice/libpod-{ID}.scope/container\n"),
            None,
        ),
        (format!("12:pids:/\n4:memory:/docker/{ID}\n0::/\n"), None),
        (
            format!("0::/docker/{ID}/system.slice/apache2.service\n"),
            None,
        ),
        (
            format!("0::{slice}/kubepods-burstable-pod{pod}.slice/cri-containerd-{ID}.scope\n"),
            Some(POD),
        ),
        (
            format!("0::/kubepods.slice/kubepods-pod{pod}.slice/crio-{ID}.scope/container\n"),
            Some(POD),
        ),
        (
            format!("3:cpu:/kubepods/besteffort/pod{POD}/{ID}\n"),
            Some(POD),
        ),
        (
            format!("3:cpu:/kubepods/burstable/pod{hash}/{ID}\n"),
            Some(hash),
        ),
        (
            format!(
                "0::/system.slice/containerd.service/kubepods-pod{pod}.slice:cri-containerd:{ID}\n"
            ),
            Some(POD),
        ),
    ] {
        let expected = Container {
            id: ID.into(),
            pod_uid: uid.map(str::to_owned),
        };
        assert_eq!(cgroup(&text), Some(expected), "{text}");
    }
}

#[test]
fn the_innermost_container_counts() {
    let inner = ID.replace('0', "f");
    let found = cgroup(&format!("0::/docker/{ID}/docker/{inner}\n")).expect("a container");
    assert_eq!(found.id, inner);
}

#[test]
fn what_is_no_container() {
    for text in [
        "",
        "0::/",
        "0::/system.slice/apache2.service",
        "nonsense",
        "0::/docker/0123",
        &format!("0::/machine.slice/libpod-conmon-{ID}.scope"),
        &format!("0::/crio-conmon-{ID}.scope"),
        &format!("0::/docker/{}", ID.to_uppercase()),
        &format!("0::/docker/{ID}0"),
        &format!("0::/other-{ID}.scope"),
    ] {
        assert_eq!(cgroup(text), None, "{text}");
    }
    let odd = cgroup(&format!("0::/podäöü/pod_____/pod/{ID}")).expect("a container");
    assert_eq!(odd.pod_uid, None);
}

proptest! {
    /// Nothing that a kernel, a process or a broken fixture writes makes a parser panic.
    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}|[0-9a-f:/ ()._+-]{0,200}|(.|\n){0,200}") {
        let _ = (stat(&text), status(&text), mapping(&text), cgroup(&text));
        let _ = status(&format!("Tgid:{text}\nUid:{text}\nNSpid:{text}"));
        let _ = cgroup(&format!("0::/{text}/pod{text}/{ID}"));
        prop_assert!(mappings(&text).all(|m| m.start < m.end));
    }

    /// A `stat` whose fields are whole is read whole, whatever the name is.
    #[test]
    fn any_name_is_read(name in "[^\0]{0,15}") {
        let found = stat(&format!("7 ({name}){TAIL}")).map(|stat| (stat.comm, stat.start));
        prop_assert_eq!(found, Some((name, 987_654)));
    }
}
