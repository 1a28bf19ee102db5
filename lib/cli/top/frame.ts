import type { TreeStatus } from '../../cluster/status';
import { formatSpan } from '../../support/duration';
import { megabytes, percent, rate, UNKNOWN } from '../../support/figures';
import { escapeControls } from '../../support/text';
import { truncate } from '../../support/text-table';
import { events, inFlight, processes, queues } from './sections';
import { judgementLines } from './stores';
import { count, type Line, line, type Size, time, type View } from './view';

const KEYS = 'q quit  ↑↓ choose  r recycle  R phased restart  + - workers  p pause  h help';
/** With at least this many rows, an empty line separates the sections. */
const ROOMY = 20;
/** A smaller terminal has no room for anything useful. */
const LEAST: Size = { columns: 40, rows: 8 };

/**
 * One screen: as many lines as the terminal has, none wider than it; the last line is for keys, questions and messages.
 */
export function frame(view: View, size: Size, now = Date.now()): Line[] {
  const { columns, rows } = size;
  if (columns < LEAST.columns || rows < LEAST.rows) {
    return cut([line(`make it ${LEAST.columns}×${LEAST.rows}`), ...blank(rows)], size);
  }
  const body = view.help ? HELP : sections(view, columns, rows - 1, now);
  return cut([...[...body, ...blank(rows)].slice(0, rows - 1), bottom(view)], size);
}

function blank(rows: number): Line[] {
  return Array.from({ length: rows }, () => line());
}

/** The same content for an output that is no terminal: everything once, with nothing selected. */
export function snapshot(view: View, columns: number, now = Date.now()): Line[] {
  const size = { columns, rows: 200 };
  const body = sections({ ...view, selected: -1 }, columns, size.rows, now);
  return cut(body, size);
}

function sections(view: View, columns: number, rows: number, now: number): Line[] {
  const head = summary(view, now, Math.max(1, Math.floor(rows / 8)));
  const room = rows - head.length - 1;
  // Processes and queues get their share first; requests in flight and events share the rows that are left.
  const tree = processes(view, columns, Math.max(4, Math.ceil(room / 2)), now);
  const jobs = queues(view, columns, Math.max(4, Math.ceil(room / 3)));
  const left = rows - head.length - tree.length - jobs.length - 2;
  const running = inFlight(view, Math.max(0, Math.min(6, left - 1)));
  const past = events(view, Math.max(0, left - running.length - 1));
  return [head, tree, jobs, running, past]
    .filter((part) => part.length > 0)
    .flatMap((part, i) => (i === 0 || rows < ROOMY ? part : [line(), ...part]))
    .slice(0, rows);
}

function bottom({ question, message, help }: View): Line {
  if (question !== undefined) return line(`${question} y/n`, 'strong');
  if (message) return message;
  return line(help ? 'any key: back' : KEYS, 'faint');
}

/**
 * Fits every line into the width, and escapes control characters: paths and error messages must not drive the terminal.
 */
function cut(lines: readonly Line[], { columns, rows }: Size): Line[] {
  return lines.slice(0, rows).map(({ text, tone }) => line(truncate(escapeControls(text), columns), tone));
}

/**
 * The identity of the tree, its health, its request rates and its memory.
 * @param most the number of lines that may list problems.
 */
export function summary(view: View, now: number, most: number): Line[] {
  const { treeStatus, silence } = view;
  const clock = new Date(now).toTimeString().slice(0, 8);
  if (!treeStatus)
    return [line(`catamount top  ${clock}`, 'strong'), line(silence ?? 'Asking the tree …', silence ? 'bad' : 'faint')];
  const { app, name, stats } = treeStatus;
  const up = formatSpan(now - Date.parse(stats.startedAt));
  const title = `${app} on ${name}, pid ${stats.pid}, up ${up}, phase ${stats.phase}  ${clock}`;
  const state =
    silence === undefined
      ? judgementLines(view.stores.systemStatus, treeStatus, new Date(now), most)
      : [line(`! What follows is old, the tree is asked again: ${silence}`, 'bad')];
  return [line(title, 'strong'), ...state, requestsLine(view, treeStatus), memoryLine(treeStatus)];
}

function requestsLine({ rates }: View, { rates: treeRates }: TreeStatus): Line {
  const { requestsPerS, p50Ms, p99Ms, failingPerS } = rates;
  const parts = [
    `Requests  ${rate(requestsPerS)}/s`,
    `p50 ${time(p50Ms)}`,
    `p99 ${time(p99Ms)}`,
    `5xx ${rate(failingPerS)}/s`,
    `turned away ${count(treeRates.shed)} in the last minute`,
  ];
  return line(parts.join('  '), treeRates.shed > 0 || (failingPerS ?? 0) > 0 ? 'warn' : 'plain');
}

function memoryLine({ stats, limits }: TreeStatus): Line {
  const { pssMb: used, limitMb: limit } = stats.memory;
  if (limit === null) return line(`Memory    ${megabytes(used)}, no limit`);
  const share = used === null ? UNKNOWN : percent(used / limit);
  const high = used !== null && limits.recycleAboveMb !== null && used > limits.recycleAboveMb;
  return line(`Memory    ${megabytes(used)} of ${limit} MB (${share})`, high ? 'warn' : 'plain');
}

/** The help screen, which the key h opens. */
export const HELP: readonly Line[] = [
  line('catamount top: this tree, once a second', 'strong'),
  line(),
  line('  ↑ ↓ tab   choose a worker'),
  line('  r         recycle it: a fresh one takes its place (asks first)'),
  line('  R         phased restart: all workers, then the job processor (asks first)'),
  line('  + -       one worker more, one fewer'),
  line('  p         pause jobs: those that run finish, no more begin; again: resume'),
  line('  space     ask now'),
  line('  q Ctrl-C  quit; the tree goes on'),
  line(),
  line('  state     with a time: until it is cut off, or tried again'),
  line('  busy      requests in flight of the slots there are; jobs, of the most at once'),
  line('  wait      requests that have no slot yet'),
  line('  lag       how late the event loop was in the last second, 99th percentile'),
  line('  cpu       of one core; memory: proportional set size, which sums up'),
  line('  blocked   jobs set aside, since as many of their class run as may'),
  line('  outbox    jobs that are due and not in Redis yet'),
  line('  latency   how long the job that is next has waited'),
];
