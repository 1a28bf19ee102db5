import fs from 'node:fs';
import path from 'node:path';

const GUIDE = fs.readFileSync(path.resolve(__dirname, '../../lib/core/diagnostics.md'), 'utf8');
const SECTIONS: readonly (readonly [prefix: RegExp, all: readonly string[]])[] = [
  [/^job\./, ['id', 'class', 'queue']],
  [/^mail\./, ['mailer', 'action']],
  [/^/, []],
];

/** The fields of the messages on each diagnostics channel, sorted, as the tables of the guide have them. */
export function guideFields(): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, readonly string[]>();
  for (const [, channel = '', cell = ''] of GUIDE.matchAll(/^\| `([a-z]+\.[a-z-]+)` \|.*\| (.*)\|$/gm)) {
    const [, all = []] = SECTIONS.find(([prefix]) => prefix.test(channel)) ?? [];
    const ofRun = cell.includes('of a run') ? ['attempt', 'requestId'] : [];
    const these = cell.includes('these') ? (fields.get('request.started') ?? []) : ['version', ...all, ...ofRun];
    const own = [...cell.replace(/\([^)]*\)/g, '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
    fields.set(channel, [...these, ...own].sort());
  }
  return fields;
}
