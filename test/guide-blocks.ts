import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '..');
/** Output and diagrams are not examples. */
const SHOWN = ['text', 'mermaid'];

export interface Block {
  /** Relative to the checkout. */
  readonly guide: string;
  readonly language: string;
  readonly text: string;
}

/** A block of a guide, by its first characters, and the test file that compiles and runs it. */
export interface Assignment {
  readonly guide: string;
  readonly begins: string;
  readonly by: string;
}

const README = 'README.md';
const [CLI, JOBS, MAILS, OPS, TESTS, WEB] = ['cli', 'job', 'mailer', 'ops', 'testing', 'web'].map(
  (name) => `lib/${name}/README.md`,
) as [string, string, string, string, string, string];
const HOSTS = 'lib/cluster/hosts.md';
const EXAMPLES = 'test/guide-examples.deep.ts';
const IN_README = 'test/readme.test.ts';

/** All code blocks of the README and the guides. */
export const ASSIGNED: readonly Assignment[] = [
  { guide: README, begins: 'npm ci && npm start', by: IN_README },
  { guide: README, begins: 'curl -X POST localhost:3000/users', by: 'test/app/sign-up.test.ts' },
  { guide: README, begins: 'npm cit', by: IN_README },
  { guide: README, begins: '// jobs/greet-user.ts', by: IN_README },
  { guide: README, begins: 'await GreetUserJob.performLater', by: IN_README },
  { guide: README, begins: "import { Mailer } from '../../index';", by: IN_README },
  { guide: README, begins: '// server.js', by: EXAMPLES },
  // Heroku's commands cannot be run here; this test runs the lines of the Procfile, as Heroku does.
  { guide: README, begins: 'heroku create', by: 'test/process/procfile.deep.ts' },
  { guide: CLI, begins: 'npx catamount new shop', by: 'test/package/new-app.deep.ts' },
  { guide: CLI, begins: 'npx catamount generate job', by: EXAMPLES },
  { guide: CLI, begins: '// scripts/remind.js', by: EXAMPLES },
  { guide: CLI, begins: "const { connect } = require('catamount');", by: EXAMPLES },
  { guide: JOBS, begins: 'export default class ImportJob', by: IN_README },
  { guide: MAILS, begins: "import { Mailer } from '../../index';", by: IN_README },
  { guide: MAILS, begins: '<h1 class="h">', by: IN_README },
  { guide: MAILS, begins: '{\n  "order_mailer"', by: IN_README },
  { guide: MAILS, begins: 'await OrderMailer.with', by: IN_README },
  { guide: MAILS, begins: '{ "catamount": { "problems"', by: EXAMPLES },
  { guide: MAILS, begins: 'import type { MailSetup }', by: IN_README },
  { guide: MAILS, begins: 'export default class OrderMailerPreview', by: IN_README },
  { guide: HOSTS, begins: 'map $http_upgrade', by: 'test/process/behind-nginx.hand.ts' },
  { guide: HOSTS, begins: '[Unit]\nDescription=shop\n', by: 'test/process/any-host.deep.ts' },
  { guide: HOSTS, begins: '[Unit]\nDescription=shop listens', by: 'test/process/any-host.deep.ts' },
  { guide: HOSTS, begins: 'FROM node', by: 'test/process/container.deep.ts' },
  { guide: HOSTS, begins: 'apiVersion: apps/v1', by: 'test/process/kubernetes.test.ts' },
  { guide: OPS, begins: 'scrape_configs:', by: EXAMPLES },
  { guide: TESTS, begins: '{ "node-option"', by: 'test/package/mocha.deep.ts' },
  { guide: TESTS, begins: 'const { assertEnqueued, captureEmails', by: EXAMPLES },
  { guide: TESTS, begins: 'const shop = request(app);', by: EXAMPLES },
  { guide: WEB, begins: '// models/entry.js', by: EXAMPLES },
  { guide: WEB, begins: '// routes.js', by: EXAMPLES },
  { guide: WEB, begins: '// app.js', by: EXAMPLES },
  { guide: WEB, begins: '// sockets.js', by: 'test/process/broadcast.deep.ts' },
  { guide: WEB, begins: "const { defineApp } = require('catamount');", by: EXAMPLES },
];

/** The code blocks in all Markdown files of the repository. */
export function guideBlocks(): readonly Block[] {
  const guides = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return guides
    .split('\n')
    .filter((guide) => guide !== '' && fs.existsSync(path.join(ROOT, guide)))
    .flatMap((guide) =>
      [...fs.readFileSync(path.join(ROOT, guide), 'utf8').matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
        ([, language = '', text = '']) => ({ guide, language, text }),
      ),
    )
    .filter(({ language }) => !SHOWN.includes(language));
}

/** The text of the block of a guide that begins with these characters. */
export function guideBlock(guide: string, begins: string): string {
  const found = guideBlocks().filter((one) => one.guide === guide && one.text.startsWith(begins));
  assert.equal(found.length, 1, `blocks in ${guide} that begin with ${begins}`);
  return found[0]?.text ?? '';
}

/** The text of a block that is assigned to a test file, which begins with these characters. */
export function assignedTo(by: string, begins: string): string {
  const found = ASSIGNED.filter((one) => one.by === by && one.begins.startsWith(begins));
  assert.equal(found.length, 1, `blocks for ${by} that begin with ${begins}`);
  return guideBlock(found[0]?.guide ?? '', begins);
}
