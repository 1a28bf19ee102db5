import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { environment } from '../../core/config';

/** Starts this Node.js with the app's entry file, on our own standard input, output and error. */
export function startEntry(entry: string, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...process.execArgv, entry, ...args], { stdio: 'inherit' });
}

export interface Outcome {
  readonly ok: boolean;
  /** The end of its standard output and standard error, interleaved. */
  readonly text: string;
}

/** Maximum length of that text, characters. */
const MAX_TEXT_LENGTH = 40_000;

/** Runs a command line as npm does, with the app's own programs in PATH. @param onText receives its output at once. */
export function runShell(command: string, folder: string, onText: (text: string) => void): Promise<Outcome> {
  const { PATH = '', ...others } = environment();
  const bin = path.join(folder, 'node_modules/.bin');
  return toOutcome(
    spawn('sh', ['-c', command], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...others, PATH: `${bin}${path.delimiter}${PATH}` },
    }),
    onText,
  );
}

/** Runs the app's entry file with a command that ends by itself, such as `check`. */
export function runEntryCommand(entry: string, args: readonly string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [...process.execArgv, entry, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  return toOutcome(child, () => undefined);
}

/** Runs Node in a folder. @returns the first message that it sends (undefined: it sent none), and how it ended, with its errors. */
export async function askNode(args: readonly string[], folder: string): Promise<{ message: unknown; ending: string }> {
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let message: unknown;
  let errors = '';
  child.once('message', (received) => {
    message = received;
  });
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    errors += part;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { message, ending: `${signal ?? `code ${code}`}:\n${errors.trimEnd()}` };
}

async function toOutcome(child: ChildProcess, onText: (text: string) => void): Promise<Outcome> {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      onText(part);
      text = (text + part).slice(-MAX_TEXT_LENGTH);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { ok: code === 0, text };
}
