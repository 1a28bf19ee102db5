import fs from 'node:fs';
import path from 'node:path';
import Mocha, { type Runner, type Test } from 'mocha';
import { RUN_FOLDER } from './temp-folder';

const { EVENT_RUN_END, EVENT_SUITE_BEGIN, EVENT_SUITE_END, EVENT_TEST_FAIL, EVENT_TEST_PASS, EVENT_TEST_PENDING } =
  Mocha.Runner.constants;
const ROOT = path.resolve(__dirname, '../..');

interface Failure {
  readonly title: string;
  readonly text: string;
}

interface FileReport {
  passed: number;
  pending: number;
  readonly failures: Failure[];
}

/**
 * Mocha reporter: prints one line per file as it ends, with its failures below; the end of the run repeats all failures
 * with the command that runs each file alone.
 */
export default class FileReporter {
  private readonly files = new Map<string, FileReport>();
  private readonly begun = performance.now();
  private current: FileReport = { passed: 0, pending: 0, failures: [] };
  private file = '';
  private lastEnd = performance.now();

  constructor(runner: Runner) {
    runner.on(EVENT_TEST_PASS, (test) => {
      this.heard(test);
      this.current.passed++;
    });
    runner.on(EVENT_TEST_PENDING, (test) => {
      this.heard(test);
      this.current.pending++;
    });
    runner.on(EVENT_TEST_FAIL, (test, error: unknown) => {
      this.heard(test);
      this.current.failures.push({ title: titleOf(test), text: textOf(error) });
    });
    // Mocha's types lack this method.
    const { isParallelMode } = runner as Runner & { isParallelMode?(): boolean };
    if (!isParallelMode?.call(runner)) this.divideByFiles(runner);
    runner.on(EVENT_SUITE_END, (suite) => {
      if (suite.root) this.endOfFile();
      else if (suite.file !== undefined) this.file = suite.file;
    });
    runner.once(EVENT_RUN_END, () => this.end());
  }

  /** With one lane Mocha runs all files in its own process as one root suite, so a file ends where its suites do. */
  private divideByFiles(runner: Runner): void {
    runner.on(EVENT_SUITE_BEGIN, (suite) => {
      if (!suite.parent?.root || suite.file === undefined) return;
      if (this.file !== '' && this.file !== suite.file) this.endOfFile();
      this.file = suite.file;
    });
  }

  private heard(test: Test): void {
    const file = test.file ?? (test as { err?: { file?: string } }).err?.file;
    if (file !== undefined) this.file = file;
  }

  private endOfFile(): void {
    const file = path.relative(ROOT, this.file);
    this.files.set(file, this.current);
    const { passed, pending, failures } = this.current;
    const seconds = secondsOf(file) ?? ((performance.now() - this.lastEnd) / 1000).toFixed(1);
    this.lastEnd = performance.now();
    const counts = [`${passed} passed`];
    if (failures.length > 0) counts.push(`${failures.length} FAILED`);
    if (pending > 0) counts.push(`${pending} skipped`);
    print(`${failures.length > 0 ? '✗' : '✓'} ${file}  ${counts.join(', ')}  ${seconds} s`);
    for (const failure of failures) print(indent(`${failure.title}\n${failure.text}`));
    this.current = { passed: 0, pending: 0, failures: [] };
    this.file = '';
  }

  private end(): void {
    // A crashed lane never ends its file; Mocha reports that failure only now, outside any file.
    if (this.current.failures.length > 0) this.endOfFile();
    const all = [...this.files.values()];
    const failed = all.reduce((sum, { failures }) => sum + failures.length, 0);
    const passed = all.reduce((sum, report) => sum + report.passed, 0);
    print('');
    for (const [file, { failures }] of this.files) {
      if (failures.length === 0) continue;
      print(`FAILED ${file}; alone: npm test -- ${file}`);
      for (const failure of failures)
        print(indent(`${failure.title}\n${failure.text.split('\n').slice(0, 12).join('\n')}`));
    }
    const seconds = Math.round((performance.now() - this.begun) / 1000);
    print(`${this.files.size} files in ${Math.floor(seconds / 60)} min ${seconds % 60} s`);
    print(`${passed} passed, ${failed} failed`);
  }
}

function titleOf(test: Test): string {
  return test.titlePath().filter(Boolean).join(' › ');
}

function textOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  const { stack, message } = error as { readonly stack?: unknown; readonly message?: unknown };
  return typeof stack === 'string' ? stack : String(message ?? JSON.stringify(error));
}

/** Duration of a file, s, as recorded by its lane in the run folder's `times`. */
function secondsOf(file: string): number | undefined {
  const times = path.join(RUN_FOLDER, 'times');
  const lines = fs.existsSync(times) ? fs.readFileSync(times, 'utf8').trim().split('\n') : [];
  const noted = lines.map((line) => JSON.parse(line) as { readonly file: string; readonly seconds: number });
  return noted.findLast((line) => line.file === file)?.seconds;
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
