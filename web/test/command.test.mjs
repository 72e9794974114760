// What the portal offers to type or to open is text that people paste into a shell: nothing in a name may act there.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { source } from "./source.mjs";

const { command, host, ps, remoteDesktop, sh } = await source("command");
const grant = (ports, more = {}) => ({
  machine: "web-1",
  protocol: "tcp",
  ports,
  sources: ["203.0.113.7/32"],
  ...more,
});
const machine = { addresses: ["127.0.0.1", "2001:db8::5", "192.0.2.5"] };

test("each port has what it is for", () => {
  for (const [ports, posix, windows] of [
    ["22", "ssh 192.0.2.5", "ssh 192.0.2.5"],
    ["3389", "xfreerdp /v:192.0.2.5", "mstsc /v:192.0.2.5"],
    [
      "5986",
      "Enter-PSSession -ComputerName 192.0.2.5 -UseSSL -Credential (Get-Credential)",
      "Enter-PSSession -ComputerName 192.0.2.5 -UseSSL -Credential (Get-Credential)",
    ],
    ["8000-8010", "192.0.2.5:8000-8010", "192.0.2.5:8000-8010"],
    ["8443", "192.0.2.5:8443", "192.0.2.5:8443"],
  ]) {
    assert.equal(command(grant(ports), machine, false), posix);
    assert.equal(command(grant(ports), machine, true), windows);
  }
});
test("the address is of the family that is open", () => {
  const six = { sources: ["2001:db8::9/128"] };
  assert.equal(host(grant("22", six), machine), "2001:db8::5");
  assert.equal(command(grant("22", six), machine, false), "ssh 2001:db8::5");
  assert.equal(command(grant("3389", six), machine, true), "mstsc /v:[2001:db8::5]");
  assert.equal(host(grant("22"), { addresses: [] }), "web-1");
  assert.equal(host(grant("22")), "web-1");
});

const hostile = [
  "$(id)",
  "`id`",
  "a;id",
  "a'b",
  'a"b',
  "a b",
  "-oProxyCommand=id",
  "a\nid",
  "a\\",
  "%PATH%",
  "a&b",
  "’+(id)+‘",
  "!x",
  "~root",
  "*",
];
test("a POSIX shell takes any name for one word", () => {
  for (const name of hostile) {
    const said = execFileSync("/bin/sh", ["-c", `printf %s ${sh(name)}`], { encoding: "utf8" });
    assert.equal(said, name.replace("\n", ""), name);
    assert.doesNotMatch(command(grant("22", { machine: name }), undefined, false), /^ssh -[^-]|\n/);
  }
});
test("PowerShell's quotes are doubled, all five of them", () => {
  assert.equal(ps("a'b‘c’d‚e‛f"), "'a''b‘‘c’’d‚‚e‛‛f'");
  assert.equal(ps("$(id)"), "'$(id)'");
  assert.equal(ps("a\r\nid"), "'aid'");
  assert.equal(ps("web-1.example"), "web-1.example");
});
test("a file for Remote Desktop has the lines that we write", () => {
  for (const name of hostile.concat("a\r\nalternate shell:s:calc", "a\u2028b")) {
    const { name: file, text } = remoteDesktop(grant("3389", { machine: name }));
    assert.match(file, /^[A-Za-z0-9_][A-Za-z0-9._-]*\.rdp$/, name);
    assert.equal(text.split(/[\r\n\u2028\u2029]+/).length, 3, name);
    assert.match(text, /^full address:s:.*:3389\r\nprompt for credentials:i:1\r\n$/);
  }
  assert.equal(remoteDesktop(grant("3389"), machine).text.split("\r\n")[0], "full address:s:192.0.2.5:3389");
  assert.equal(remoteDesktop(grant("22"), machine), undefined);
});
