import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { until } from './until';
import { WAIT_LIMIT_MS } from './wait-limit';

export interface Line {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  /** The fields of a JSON log line; empty for any other. */
  readonly json: Readonly<Record<string, unknown>>;
}

export type LineMatch = RegExp | ((line: Line) => boolean);

/** Collects the lines that a process writes to stdout and stderr. */
export class Output {
  readonly lines: Line[] = [];

  constructor(child: ChildProcess) {
    for (const stream of ['stdout', 'stderr'] as const) {
      const source = child[stream];
      if (source) createInterface(source).on('line', (text) => this.lines.push({ stream, text, json: parse(text) }));
    }
  }

  matching(match: LineMatch, from = 0): Line[] {
    const test = match instanceof RegExp ? (line: Line) => match.test(line.text) : match;
    return this.lines.slice(from).filter(test);
  }

  /**
   * Resolves with the first line that matches, written before or after the call.
   * @param options.from skips that many lines: `output.lines.length` for new ones only.
   * @param options.ended returns true once no more lines will come.
   * @throws Error with the last lines, if none matches before the process ends or WAIT_LIMIT_MS pass.
   */
  async waitFor(
    match: LineMatch,
    options: { readonly from?: number; readonly ended?: () => boolean } = {},
  ): Promise<Line> {
    const { from = 0, ended = () => false } = options;
    const found = () => {
      // `ended` is called first, so that the last lines of an ended process are still searched once.
      const over = ended();
      return this.matching(match, from)[0] ?? (over ? 'ended' : undefined);
    };
    const line = await until(`a line matches ${match}`, found).catch(() => undefined);
    if (line !== undefined && line !== 'ended') return line;
    const reason = line === 'ended' ? 'the process ended' : `${WAIT_LIMIT_MS} ms passed`;
    throw new Error(`No line matched ${match} before ${reason}. Last lines:\n${this.tail()}`);
  }

  tail(count = 30): string {
    return this.lines
      .slice(-count)
      .map((line) => line.text)
      .join('\n');
  }
}

function parse(text: string): Record<string, unknown> {
  if (!text.startsWith('{')) return {};
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
