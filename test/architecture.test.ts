import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const root = path.resolve(__dirname, '..');

/** The folders of lib, from the lowest layer up. A file may import only from its own folder and from lower layers. */
const LAYERS: readonly (readonly string[])[] = [
  ['support'],
  ['internals'],
  ['core'],
  ['cluster', 'web', 'model', 'embedded'],
  ['broadcast', 'job'],
  ['mailer', 'tree'],
  ['health'],
  ['ops'],
  ['role'],
  ['boot.ts'],
  ['public-types.ts'],
  ['index.ts'],
  ['cli', 'testing'],
  ['app'],
];

/** Packages that may be imported only in these files. */
const FENCES: Readonly<Record<string, readonly string[]>> = {
  throng: ['lib/cluster/primary/throng.ts'],
  'bee-queue': ['lib/internals/bee-queue.ts'],
  croner: ['lib/job/cron/schedule.ts'],
  'email-templates': ['lib/mailer/render/renderer.ts'],
  redis: ['lib/internals/redis-client.ts'],
  'node:child_process': [
    'lib/cluster/child-process.ts',
    'lib/embedded/server-process.ts',
    'lib/cli/app/app-process.ts',
    'lib/cli/generate/install-packages.ts',
    'lib/mailer/transport/sendmail.ts',
  ],
};

/** Packages that may be imported only in these folders. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  koa: ['lib/web', 'lib/ops', 'lib/role', 'lib/app'],
  objection: [
    'lib/model',
    'lib/role/start/web.ts',
    'lib/role/start/job-processor.ts',
    'lib/role/start/job-thread.ts',
    'lib/role/start/previews.ts',
    'lib/role/connect/connection.ts',
  ],
  zod: ['lib/core', 'lib/app'],
  nodemailer: ['lib/mailer'],
  'prom-client': ['lib/ops/metrics'],
  '@opentelemetry': ['lib/core/opentelemetry.ts'],
};

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly { readonly specifier: string; readonly typeOnly: boolean }[];
}

function tracked(...patterns: string[]): string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...patterns], { cwd: root });
  return listed
    .toString()
    .split('\n')
    .filter((file) => file && fs.existsSync(path.join(root, file)));
}

function read(file: string): Source {
  const text = fs.readFileSync(path.join(root, file), 'utf8');
  const statements = text.matchAll(/^\s*(?:import|export)\s+(type\s)?[^;]*?from\s+'([^']+)'|^import\s+'([^']+)'/gm);
  const dynamic = text.matchAll(/(typeof\s+)?(?:\bimport|\brequire)\(\s*'([^']+)'\s*\)/g);
  return {
    file,
    text,
    imports: [
      ...[...statements].map((m) => ({ specifier: m[2] ?? m[3] ?? '', typeOnly: m[1] !== undefined })),
      ...[...dynamic].map((m) => ({ specifier: m[2] ?? '', typeOnly: m[1] !== undefined })),
    ],
  };
}

const sources = tracked('server.ts', 'lib/*.ts', 'jobs/*.ts', 'migrations/*.ts').map(read);

/** Resolves a relative import. @returns the file, relative to the root. */
function resolve(from: string, specifier: string): string {
  const base = path.join(path.dirname(from), specifier);
  return (
    [`${base}.ts`, `${base}.d.ts`, path.join(base, 'index.ts'), base].find((file) =>
      fs.existsSync(path.join(root, file)),
    ) ?? base
  );
}

function layerOf(file: string): number {
  const [folder = '', part = ''] = file.split('/');
  if (folder !== 'lib') return LAYERS.length;
  return LAYERS.findIndex((names) => names.includes(part));
}

describe('the architecture', () => {
  it('keeps the fixed top level', () => {
    const allowed =
      /^(\..*|package\.json|package-lock\.json|tsconfig\.json|Procfile|server\.ts|lib|jobs|migrations|test|README\.md)$/;
    const top = [...new Set(tracked().map((file) => file.split('/')[0] ?? ''))];
    assert.deepEqual(
      top.filter((name) => !allowed.test(name)),
      [],
    );
  });

  it('imports only from lower layers', () => {
    const wrong: string[] = [];
    for (const { file, imports } of sources.filter((source) => source.file.startsWith('lib/'))) {
      assert.notEqual(layerOf(file), -1, `${file} is in no layer: add its folder to LAYERS`);
      for (const { specifier } of imports.filter((found) => found.specifier.startsWith('.'))) {
        const target = resolve(file, specifier);
        const sameFolder = target.split('/')[1] === file.split('/')[1];
        if (!sameFolder && layerOf(target) >= layerOf(file) && !target.startsWith('jobs/'))
          wrong.push(`${file} → ${target}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('has no import cycle', () => {
    const edges = new Map(
      sources.map(({ file, imports }) => [
        file,
        imports.filter((i) => !i.typeOnly && i.specifier.startsWith('.')).map((i) => resolve(file, i.specifier)),
      ]),
    );
    const done = new Set<string>();
    const visit = (file: string, trail: readonly string[]): void => {
      assert.ok(!trail.includes(file), `cycle: ${[...trail, file].join(' → ')}`);
      if (done.has(file)) return;
      for (const next of edges.get(file) ?? []) visit(next, [...trail, file]);
      done.add(file);
    };
    for (const file of edges.keys()) visit(file, []);
  });

  it('has no cycle between folders, including type-only and lazy imports', () => {
    const edges = new Map<string, Map<string, string>>();
    for (const { file, imports } of sources) {
      const from = path.dirname(file);
      const targets = edges.get(from) ?? new Map<string, string>();
      edges.set(from, targets);
      for (const { specifier } of imports.filter((found) => found.specifier.startsWith('.'))) {
        const target = resolve(file, specifier);
        if (path.dirname(target) !== from) targets.set(path.dirname(target), `${file} → ${target}`);
      }
    }
    const done = new Set<string>();
    const visit = (folder: string, trail: readonly string[], ways: readonly string[]): void => {
      assert.ok(!trail.includes(folder), `cycle of folders: ${ways.slice(trail.indexOf(folder)).join('; ')}`);
      if (done.has(folder)) return;
      for (const [next, way] of edges.get(folder) ?? []) visit(next, [...trail, folder], [...ways, way]);
      done.add(folder);
    };
    for (const folder of edges.keys()) visit(folder, [], []);
  });

  it('imports each fenced package only in its place', () => {
    const wrong: string[] = [];
    for (const { file, imports } of sources) {
      for (const { specifier, typeOnly } of imports) {
        for (const [name, places] of Object.entries(FENCES)) {
          const meant = specifier === name || specifier.startsWith(`${name}/`);
          if (meant && !places.includes(file)) wrong.push(`${file} imports ${specifier}`);
        }
        for (const [name, homes] of Object.entries(HOMES)) {
          const meant = specifier === name || specifier.startsWith(`${name}/`);
          if (meant && !typeOnly && !homes.some((home) => file.startsWith(home)))
            wrong.push(`${file} imports ${specifier}`);
        }
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('reads process.env in one place only', () => {
    const readers = sources.filter(({ text }) =>
      /process\s*\.\s*env\b/.test(text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, '')),
    );
    assert.deepEqual(
      readers.map(({ file }) => file),
      ['lib/core/config.ts'],
    );
  });

  it('has no file with a catch-all name', () => {
    assert.deepEqual(
      sources.filter(({ file }) => /(util|helper|common|misc|manager)/i.test(file)).map(({ file }) => file),
      [],
    );
  });

  it('has no escape hatch from the type checker, the linter or the runner of tests', () => {
    // The linter refuses most of them. They are looked for in the whole text as well, comments and strings included, since a comment
    // may switch the linter off. By its brackets the pattern does not match itself, so that this file is searched, too.
    const hatch = /@ts-[i]gnore|@ts-[n]ocheck|biome-[i]gnore|\bas [a]ny\b|: [a]ny\b|\.[o]nly\(|\.[s]kip\b/;
    const found = [...sources, ...tracked('test/*.ts').map(read)].filter(({ text }) => hatch.test(text));
    // A test may expect an error of the type checker; the code may not have one.
    const expecting = sources.filter(({ text }) => text.includes('@ts-expect-error'));
    assert.deepEqual(
      [...found, ...expecting].map(({ file }) => file),
      [],
    );
  });
});
