import { createHash } from 'node:crypto';
import type { NodeView } from './node-view';
import type { OverviewView } from './overview-view';

/** Parts of the page that are made anew when what they consist of changes. */
export type Shapes = Readonly<Record<'issues' | 'trees' | 'machine' | 'queues' | 'events', string>>;

/** What each part consists of, short: its cards and rows, not the figures in them. */
export function shapesOf({ verdict, trees, othersUnknown, machine, queues, redisCode }: OverviewView): Shapes {
  return {
    issues: short(verdict.issues.map(({ id, tone, href }) => [id, tone, href])),
    trees: short([trees?.map(({ id, name, current }) => [id, name, current]), othersUnknown]),
    machine: machine ? machineShape(machine, machine.nodes) : short(null),
    queues: short(queues?.map(({ name, paused }) => [name, paused]) ?? redisCode),
    events: short(machine?.events.map(({ at, text }) => [at, text])),
  };
}

/** The tree and its processes, however they are shown. */
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
