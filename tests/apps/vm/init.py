#!/usr/bin/python3
"""The first process of a virtual machine: tries sigblame on its kernel, and turns it off.

What it finds goes to the second serial line, one JSON object a line. The host judges.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import time
import traceback
import urllib.error
import urllib.request

AGENT = "/usr/local/bin/sigblame"
RUNGS = ["fexit", "tracepoint"]
# How often the application registers, until one stack is native to its end: the agent reads the
# files on it within its budget of time, and here it is slow.
TRIES = 4
PAUSE = 8
# Emulated processors are slow, and the host may be busy.
PATIENCE = 90
DATA = "/dev/ttyS1"


def tell(what, **more):
    with open(DATA, "w") as line:
        line.write(json.dumps({"what": what, **more}) + "\n")


def mount():
    for kind, at in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
        ("tracefs", "/sys/kernel/tracing"),
    ]:
        subprocess.run(["mount", "-t", kind, kind, at], check=True)


def bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP and IFF_RUNNING, see netdevice(7).
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x41))


def wait_for(what, probe):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(f"waited {PATIENCE} s for {what}")


def text_of(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def lines_of(path, least, signal_name="SIGUSR2"):
    """The trace's lines about the application's signal, once there are so many."""
    lines = [line for line in text_of(path).split("\n")[:-1] if f'"{signal_name}"' in line]
    return lines if len(lines) >= least else None


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def doctor(rung):
    said = subprocess.run(
        [AGENT, "doctor", "--json", "--registration-rung", rung], capture_output=True, text=True
    )
    tell("doctor", rung=rung, code=said.returncode, output=said.stdout, errors=said.stderr)


def ask(path="/"):
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080" + path, timeout=PATIENCE) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        raise
    except OSError:
        return None


def trace(rung):
    output, errors = f"/run/{rung}.json", f"/run/{rung}.err"
    command = [AGENT, "trace", "--json", "--registration-rung", rung]
    with open(output, "w") as out, open(errors, "w") as err:
        tracer = subprocess.Popen(command, stdout=out, stderr=err)
    server = None
    expected, blocked, problem = [], [], None
    try:
        wait_for(
            "the trace to begin",
            lambda: "tracing registrations" in text_of(errors) or tracer.poll() is not None,
        )
        server = subprocess.Popen(["apache2", "-f", "/srv/vm/httpd.conf", "-DFOREGROUND"])
        for count in range(1, TRIES + 1):
            answer = wait_for("httpd to answer", ask)
            expected.append(answer["registered"])
            blocked.append(answer["blocked"])
            lines = [
                wait_for(f"the trace's line about {name}", lambda: lines_of(output, count, name))
                for name in ("SIGUSR2", "SIGALRM")
            ]
            if all(json.loads(last)["native"]["result"] == "complete" for *_, last in lines):
                break
            time.sleep(PAUSE)
    except Exception:
        problem = traceback.format_exc()
    finally:
        if server:
            end(server)
        code = end(tracer)
    tell(
        "trace",
        rung=rung,
        code=code,
        expected=expected,
        problem=problem,
        lines=lines_of(output, 0),
        blocked=blocked,
        attempts=lines_of(output, 0, "SIGALRM"),
        errors=text_of(errors),
        server=text_of("/run/httpd/error.log") if problem else "",
    )


def reload():
    """Starts the server, restarts it, and stops it while a worker ignores SIGTERM; tells what the agent
    heard."""
    capture, log = "/run/capture.jsonl", "/run/run.err"
    command = [AGENT, "run", "--capture", capture, "--web.listen-address", "127.0.0.1:9749"]
    with open(log, "w") as err:
        agent = subprocess.Popen(command, stdout=err, stderr=err)
    server, problem = None, None

    def resumed():
        return text_of("/run/httpd/error.log").count("resuming normal operations")

    def ready():
        try:
            return urllib.request.urlopen("http://127.0.0.1:9749/-/ready", timeout=PATIENCE)
        except OSError:
            return None

    try:
        wait_for("the agent to be ready", ready)
        before = resumed()
        server = subprocess.Popen(["apache2", "-f", "/srv/vm/httpd.conf", "-DFOREGROUND"])
        wait_for("httpd to answer", ask)
        server.send_signal(signal.SIGUSR1)
        wait_for("httpd to restart", lambda: resumed() == before + 2)
        wait_for("httpd to answer again", ask)
        wait_for("a deaf worker", lambda: ask("/deaf"))
    except Exception:
        problem = traceback.format_exc()
    finally:
        if server:
            end(server)
        code = end(agent)
    records = [line for line in text_of(capture).split("\n") if line.startswith('{"record"')]
    tell(
        "reload",
        code=code,
        problem=problem,
        server=server and server.pid,
        records=[json.loads(line)["record"] for line in records],
        errors=text_of(log),
    )


def main():
    mount()
    # Only the raw bytes: no carriage returns, no echo.
    subprocess.run(["stty", "-F", DATA, "raw", "-echo"], check=True)
    tell("begin", release=os.uname().release)
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.makedirs("/run/httpd")
    bring_loopback_up()
    for rung in RUNGS:
        doctor(rung)
        trace(rung)
    reload()
    tell("end")


try:
    main()
except BaseException:
    print(traceback.format_exc(), flush=True)
finally:
    os.sync()
    # LINUX_REBOOT_CMD_POWER_OFF, see reboot(2).
    ctypes.CDLL(None).reboot(0x4321FEDC)
