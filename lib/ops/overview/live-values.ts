import { liveKey } from './live-attributes';
import type { OverviewView } from './overview-view';

/** By key; null: the attribute is not there. */
export type LiveValues = Readonly<Record<string, string | number | null>>;

/** What the page shows now, flat: what has changed of it is sent to open pages. */
export function liveValues(view: OverviewView, word: (tone: string) => string): LiveValues {
  const values: Record<string, string | number | null> = {};
  const put = (key: string, value: string | number | null) => {
    values[liveKey(key)] = value;
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
    put(`${key}.mb`, one.mb === null ? '–' : `${Math.round(one.mb)} MB`);
  }
}

/** Those that are not what they were. */
export function changed(values: LiveValues, before: LiveValues): LiveValues {
  // Without lists of them all: there are hundreds, once a second.
  const others: Record<string, string | number | null> = {};
  for (const key in values) {
    const value = values[key];
    if (value !== undefined && before[key] !== value) others[key] = value;
  }
  return others;
}
