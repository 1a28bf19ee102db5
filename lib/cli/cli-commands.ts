import { findEntry, runApp } from './app/app-entry';

/** A command of `catamount` other than those to the running tree (cluster/control/commands) and those of `jobs`. */
export interface CliCommand {
  readonly name: string;
  /** One line of `catamount help`. */
  readonly summary: string;
  /** Words and options after the name. */
  readonly usage: string;
  /** Further text of `catamount help NAME`. */
  readonly details?: string;
  /** `run` prints the help of the command itself, for `--help`. */
  readonly printsOwnHelp?: true;
  /** true if the app's own entry file runs it, through `boot`, and reads its options. */
  readonly inApp: boolean;
  /** Runs the command with the words after its name, which it parses itself. Default: `main` runs it. */
  readonly run?: (args: readonly string[]) => Promise<void>;
}

const app = { inApp: true, usage: '' };
const here = { inApp: false, usage: '' };

const START = `Checks the app, then starts the web workers, the job processor and, if no URLs are set, its own Postgres and Redis.
--only web or --only jobs starts one half. In production /ready answers 503 while migrations are pending, unless
--allow-pending is given. Exit code 78: a setting or the app is wrong.`;
const DEV = `Builds the app, starts the tree, and follows the sources with phased restarts, restarts that stop first if jobs have
changed, and migrations. Errors are shown here and in the browser, while the old code keeps serving.
  --only web|jobs  start one half of the tree
  --build COMMAND  the command that builds the app; default: the script "build" of package.json, if there is one
  --no-build       run the sources without a build`;
const CHECK = `Lists every mistake in classes, schedules, templates, texts, settings and, if Postgres can be reached, migrations.
Exit code 1: there are mistakes.`;
const DOCTOR = `Checks the settings, TLS, the Procfile, whether the mail server lets us in (no mail is sent), the connections that
Postgres allows, pending migrations, and whether Redis evicts keys. Each line says what to do; with --json each finding
has an id, a severity (error or warning), the finding and what_to_do. Exit code 0: all is well; 1: there are findings; 64:
wrong usage.`;
const RUN = `Calls the function that FILE default-exports with the arguments, and ends when it and what it has begun have ended. Models,
transaction(), performLater and deliverLater work in it. It needs Postgres and, unless it is off, Redis, but no running tree. Of a FILE in
TypeScript that the app's build contains, what is built is run.`;
const CONSOLE = `Node's REPL with every model, job and mailer by name, and knex, transaction, performAllLater and broadcast. Top-level
await works. Code may also be piped into standard input.`;
const DB = `  migrate   bring the database up to date
  rollback  roll back the last batch of migrations
  status    list the migrations; exit code 1 if one is pending
  make NAME write a new migration (the same as generate migration NAME)
  seed      run the functions that the files in seeds/ default-export, in the order of their names
  reset     roll back all migrations, run them again, and seed; in production only with --force
It uses DATABASE_URL, or the embedded database while a tree of this folder runs.`;
const MIGRATE = 'For the release phase: it needs DATABASE_URL, and may run in several processes at once.';
const ROLLBACK = 'A batch is everything that one migrate has applied. It needs DATABASE_URL.';
const GENERATES = 'write a job, mailer, model or migration';
const TOP = 'Ctrl-C quits. Without a terminal it prints the tree once.';
const HELP = 'Prints the options and exit codes of a command.';

/** The commands, in the order of `catamount help`. */
export const CLI_COMMANDS: readonly CliCommand[] = [
  {
    ...here,
    name: 'new',
    summary: 'create a new app in its own folder',
    usage: 'NAME',
    printsOwnHelp: true,
    run: makeApp,
  },
  {
    ...app,
    name: 'start',
    summary: 'start the tree (the default)',
    usage: '[--only web|jobs] [--allow-pending]',
    details: START,
  },
  {
    ...here,
    name: 'dev',
    summary: 'start the tree, and reload it when its sources change',
    usage: '[OPTIONS]',
    details: DEV,
    run: dev,
  },
  { ...app, name: 'check', summary: 'find mistakes in the app', usage: '[--json]', details: CHECK },
  { ...app, name: 'doctor', summary: "find problems in the app's environment", usage: '[--json]', details: DOCTOR },
  { ...app, name: 'run', summary: 'run a script with the app connected', usage: 'FILE [ARGUMENT…]', details: RUN },
  { ...app, name: 'console', summary: 'a REPL with models, jobs and mailers', details: CONSOLE },
  {
    ...app,
    name: 'db',
    summary: 'migrate, rollback, status, make, seed or reset',
    usage: 'COMMAND',
    details: DB,
    run: db,
  },
  { ...app, name: 'migrate', summary: 'bring the database up to date', details: MIGRATE },
  { ...app, name: 'rollback', summary: 'roll back the last batch of migrations', details: ROLLBACK },
  { ...here, name: 'generate', summary: GENERATES, printsOwnHelp: true, run: generate },
  {
    ...here,
    name: 'top',
    summary: 'show the running tree live',
    details: TOP,
  },
  { ...here, name: 'version', summary: 'print the version', details: 'The version of Catamount, not of the app.' },
  { ...here, name: 'help', summary: 'print this, or the help of one command', usage: '[COMMAND]', details: HELP },
];

const print = (text: string) => void process.stdout.write(text);

/** Loaded only when it runs, like everything else that a tree does not need. */
async function makeApp(args: readonly string[]): Promise<void> {
  await (await import('./generate/new-command')).runNew(args, process.cwd(), print);
}

async function dev(args: readonly string[]): Promise<void> {
  await (await import('./dev/command')).runDev(args, findEntry);
}

async function generate(args: readonly string[]): Promise<void> {
  await (await import('./generate/run-generator')).runGenerator(args, process.cwd(), print);
}

/** Leaves everything to the app, except `make`, which is a generator. */
async function db(args: readonly string[]): Promise<void> {
  const at = args.findIndex((word) => !word.startsWith('-'));
  if (args[at] === 'make') return generate(['migration', ...args.toSpliced(at, 1)]);
  await runApp(['db', ...args]);
}
