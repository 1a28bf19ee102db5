import { createHash } from 'node:crypto';
import { megabytes } from '../../support/figures';
import { escapeDirections } from '../../support/text';
import type { OverviewView } from './overview-view';
import type { NodeView } from './process-cards';

/** Values by key; null removes the attribute. */
type LiveValues = Readonly<Dictionary>;
type Dictionary = Record<string, string | number | null>;

/** An object without a prototype, for hundreds of keys: V8 would make a hidden class per key of a plain object. */
const dictionary = (): Dictionary => Object.create(null);

/** The values that the page shows, by flat keys, so that only changed ones are sent to open pages. */
export function liveValues(view: OverviewView, word: (tone: string) => string): LiveValues {
  const values = dictionary();
  const put = (key: string, value: string | number | null) => {
    values[liveKey(key)] = typeof value === 'string' ? escapeDirections(value) : value;
  };
  const { verdict, trees, machine, dependencies, queues } = view;
  put('verdict.tone', verdict.tone);
  put('verdict.icon', `#i-${verdict.icon}`);
  put('verdict.title', verdict.title);
  put('verdict.line', verdict.line);
  for (const { id, head, rest } of verdict.issues) {
    put(`i.${id}.head`, head);
    put(`i.${id}.rest`, rest);
  }
  for (const tree of trees ?? []) {
    const key = `t.${tree.id}`;
    put(`${key}.tone`, tree.tone);
    put(`${key}.word`, word(tree.tone));
    put(`${key}.icon`, `#i-${tree.tone}`);
    put(`${key}.figures`, tree.figures);
    put(`${key}.bar`, `${tree.percent}%`);
  }
  for (const one of dependencies) {
    const key = `d.${one.id}`;
    put(`${key}.tone`, one.tone);
    put(`${key}.word`, word(one.tone));
    put(`${key}.line`, one.tone === 'bad' ? 'cut' : null);
    put(`${key}.icon`, `#i-${one.icon}`);
    for (const name of ['phase', 'say'] as const) put(`${key}.${name}`, one[name]);
  }
  for (const queue of queues ?? []) {
    const key = `q.${queue.name}`;
    put(`${key}.size`, queue.size);
    put(`${key}.latency`, queue.latency);
    put(`${key}.tone`, queue.late ? 'warn' : null);
    put(`${key}.word`, queue.late ? ` ${word('warn')}` : '');
    put(`${key}.next`, queue.next);
  }
  if (machine) putMachine(machine, put, word);
  return values;
}

type Put = (key: string, value: string | number | null) => void;
type Machine = NonNullable<OverviewView['machine']>;

function putMachine({ line, nodes, memory }: Machine, put: Put, word: (tone: string) => string): void {
  put('machine.line', line);
  for (const node of nodes) {
    const key = `n.${node.id}`;
    put(`${key}.tone`, node.tone);
    put(`${key}.word`, word(node.tone));
    put(`${key}.line`, node.line === 'solid' ? null : node.line);
    put(`${key}.icon`, `#i-${node.icon}`);
    put(`${key}.spin`, node.iconClass);
    put(`${key}.phase`, node.phase);
    put(`${key}.on`, node.on ?? 0);
    put(`${key}.n`, node.on ?? '–');
    put(`${key}.load`, `${node.loadPercent}%`);
    put(`${key}.bar`, `${node.barPercent}%`);
    put(`${key}.barClass`, node.hot ? 'bar hot' : 'bar');
    put(`${key}.say`, node.say);
    if (node.moved !== undefined) put(`${key}.moved`, node.moved);
    put(`${key}.trouble`, node.calm ? '' : node.say);
    for (const name of ['waiting', 'lag', 'memory'] as const) {
      put(`${key}.${name}`, node[name].text);
      put(`${key}.${name}.tone`, node[name].tone);
    }
  }
  put('mem.tone', memory.tone);
  put('mem.text', memory.text);
  put('mem.share', memory.share);
  put('mem.free', memory.free?.label ?? '');
  put('mem.free.x', `${memory.free?.x ?? 100}%`);
  put('mem.free.mb', memory.free ? `${memory.free.mb} MB` : '–');
  for (const one of memory.segments) {
    const key = `mem.${one.id}`;
    put(`${key}.x`, `${one.x}%`);
    put(`${key}.width`, `${one.width}%`);
    put(`${key}.shade`, one.shade);
    put(`${key}.label`, one.label);
    put(`${key}.mb`, megabytes(one.mb));
  }
}

/**
 * The values that an open page shows. An unchanged value keeps its first string, so that the equal strings of later
 * seconds die young and an open page does not fill V8's old generation.
 */
export class SentValues {
  private readonly shown = new Map<string, string | number | null>();

  /** The values that differ from those the page shows. */
  newOf(values: LiveValues): LiveValues {
    const others = dictionary();
    for (const key in values) {
      const value = values[key];
      if (value !== undefined && this.shown.get(key) !== value) others[key] = value;
    }
    return others;
  }

  /** Records that `news`, the changes of `values`, have been sent. */
  note(values: LiveValues, news: LiveValues): void {
    for (const key of this.shown.keys()) if (!(key in values)) this.shown.delete(key);
    for (const key in news) {
      const value = news[key];
      if (value !== undefined) this.shown.set(key, value);
    }
  }
}

/** Attributes that a view writes beside a value so that the page's script (`assets/overview.js`) can update it. */
export const patch = {
  /** The value is the element's text. */
  text: (key: string): string => ` data-t="${liveKey(key)}"`,

  /** The values are attributes of the element, by name; null removes one. */
  attr: (keys: Readonly<Record<string, string>>): string => {
    const pairs = Object.entries(keys).map(([name, key]) => `${name}:${liveKey(key)}`);
    return ` data-a="${pairs.join(';')}"`;
  },

  /** The value is the number of the element's children that are switched on. */
  pips: (key: string): string => ` data-on="${liveKey(key)}"`,

  /** @param drawn SVG of the view's `icon`. @param classKey key of the class when it changes as well. */
  icon: (drawn: string, key: string, className = 'i', classKey?: string): string =>
    drawn
      .replace('class="i"', `class="${className}"${classKey === undefined ? '' : patch.attr({ class: classKey })}`)
      .replace('<use ', `<use${patch.attr({ href: key })} `),
};

/** Replaces characters that are not allowed in keys, as queue names are part of keys. */
function liveKey(key: string): string {
  return key.replace(/[^\w.:-]/g, '_');
}

/** Fingerprints of the page's parts. A part is rendered again when its fingerprint changes. */
type Shapes = Readonly<Record<'issues' | 'trees' | 'machine' | 'queues' | 'events', string>>;

/** Fingerprints of each part's cards and rows, without their figures, which are updated in place. */
export function layoutFingerprints({
  verdict,
  trees,
  othersUnknown,
  machine,
  queues,
  queuesCode,
}: OverviewView): Shapes {
  return {
    issues: short(verdict.issues.map(({ id, tone, href }) => [id, tone, href])),
    trees: short([trees?.map(({ id, name, current }) => [id, name, current]), othersUnknown]),
    machine: machine ? machineShape(machine, machine.nodes) : short(null),
    queues: short(queues?.map(({ name, paused }) => [name, paused]) ?? queuesCode),
    events: short(machine?.events.map(({ at, text }) => [at, text])),
  };
}

/** Fingerprint of a tree and its processes, for all pages that show them. */
export function machineShape(
  { id, name }: { readonly id: string; readonly name: string },
  nodes: readonly NodeView[],
): string {
  return short([id, name, nodes.map((node) => [node.id, node.of])]);
}

function short(parts: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(parts ?? null))
    .digest('base64url')
    .slice(0, 8);
}
