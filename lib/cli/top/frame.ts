import type { TreeStatus } from '../../cluster/status';
import { formatSpan } from '../../support/duration';
import { megabytes, percent, rate, UNKNOWN } from '../../support/figures';
import { escapeControls } from '../../support/text';
import { truncate } from '../../support/text-table';
import { judgementLines } from './stores';
import { processTable, queueTable } from './tables';
import { formatCount, formatTime, type Line, line, type Size, type View } from './view';

/** Minimum number of lines for problems: in the smallest terminal they take all but the title. */
const MIN_ISSUE_LINES = 5;

/**
 * Draws the tree: at most as many lines as the terminal has, none wider than it. Control characters are escaped, since
 * names and error messages must not control the terminal.
 */
export function frame(view: View, { columns, rows }: Size, now = Date.now()): Line[] {
  const head = summary(view, now, Math.max(MIN_ISSUE_LINES, Math.floor(rows / 8)));
  const room = rows - head.length - 2;
  const queues = queueTable(view, columns, Math.max(4, Math.ceil(room / 2)));
  const processes = processTable(view, columns, Math.max(4, room - queues.length), now);
  return [...head, line(), ...processes, line(), ...queues]
    .slice(0, rows)
    .map(({ text, tone }) => line(truncate(escapeControls(text), columns), tone));
}

/**
 * The identity of the tree, its health, its request rates and its memory.
 * @param most the number of lines that may list problems.
 */
export function summary(view: View, now: number, most: number): Line[] {
  const { treeStatus, silence } = view;
  const clock = new Date(now).toTimeString().slice(0, 8);
  const { app, name, stats } = treeStatus;
  const up = formatSpan(now - Date.parse(stats.startedAt));
  const title = `${app} on ${name}, pid ${stats.pid}, up ${up}, phase ${stats.phase}  ${clock}`;
  const state =
    silence === undefined
      ? judgementLines(view.stores.systemStatus, treeStatus, new Date(now), most)
      : [line(`! The data below is out of date, asking the tree again: ${silence}`, 'bad')];
  return [line(title, 'strong'), ...state, requestsLine(view), memoryLine(treeStatus)];
}

function requestsLine({ rates, treeStatus }: View): Line {
  const { requestsPerS, p50Ms, p99Ms, failingPerS } = rates;
  const { shed } = treeStatus.rates;
  const parts = [
    `Requests  ${rate(requestsPerS)}/s`,
    `p50 ${formatTime(p50Ms)}`,
    `p99 ${formatTime(p99Ms)}`,
    `5xx ${rate(failingPerS)}/s`,
    `${formatCount(shed)} shed in the last minute`,
  ];
  return line(parts.join('  '), shed > 0 || (failingPerS ?? 0) > 0 ? 'warn' : 'plain');
}

function memoryLine({ stats, limits }: TreeStatus): Line {
  const { pssMb: used, limitMb: limit } = stats.memory;
  if (limit === null) return line(`Memory    ${megabytes(used)}, no limit`);
  const share = used === null ? UNKNOWN : percent(used / limit);
  const high = used !== null && limits.recycleAboveMb !== null && used > limits.recycleAboveMb;
  return line(`Memory    ${megabytes(used)} of ${limit} MB (${share})`, high ? 'warn' : 'plain');
}
