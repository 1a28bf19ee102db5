import { findEntry, runApp } from './app-entry';

/** A command of `catamount` that is none of the running tree (cluster/control/commands) and none of `jobs`. */
export interface CliCommand {
  readonly name: string;
  /** One line of `catamount help`. */
  readonly summary: string;
  /** Words and options behind the name. */
  readonly usage: string;
  /** Further text of `catamount help NAME`. undefined: `run` prints its own help for `--help`. */
  readonly details?: string;
  /** true: the app's own entry file runs it, through `boot`, and reads its options. */
  readonly inApp: boolean;
  /** Runs the command with the words behind its name, which it reads itself. Default: `main` knows it. */
  readonly run?: (args: readonly string[]) => Promise<void>;
}

const app = { inApp: true, usage: '' };
const here = { inApp: false, usage: '' };

const START = `Starts the web workers, the job processor and, where no URL is set, Postgres and Redis of its own, after a check of
the app. --only web or --only jobs starts one half. In production /ready is 503 while migrations are pending; with
--allow-pending it is not. Exit code 78: a setting or the app is wrong.`;
const DEV = `Builds the app and starts the tree, and follows its sources: phased restarts, a restart that stops first where jobs have
changed, and migrations. What is wrong is told here and in the browser, while the old code goes on serving.
  --only web|jobs  one half of the tree
  --build COMMAND  builds the app; without it the script "build" of package.json, where there is one
  --no-build       the sources run as they are`;
const CHECK = `Tells every mistake in classes, schedules, templates, texts, settings and, where Postgres can be reached, migrations.
Exit code 1: there is one.`;
const DOCTOR = `Looks at the settings, TLS, the Procfile, the connections that Postgres allows, pending migrations, and whether Redis\nkeeps what it is given. Each line says what to do; with --json each finding has an id, a severity (error or\nwarning), the finding and what_to_do. Exit code 0: all is well; 1: there is something; 64: wrong usage.`;
const RUN = `Calls the function that FILE default-exports with the arguments, and ends when it has ended. Models, transaction(),
performLater and deliverLater work in it; it needs Postgres and Redis, but no running tree.`;
const CONSOLE = `Node's REPL with every model, job and mailer by its name, and knex, transaction and performAllLater. await works at
its top level. Code may also come by standard input.`;
const DB = `  migrate   bring the database up to date
  rollback  take the last batch of migrations back
  status    list the migrations; exit code 1 when one is pending
  separate  take Catamount's migrations out of knex_migrations, where releases before catamount_migrations kept them
  make NAME write a new migration (the same as generate migration NAME)
  seed      run the functions that the files of seeds/ default-export, in the order of their names
  reset     take all migrations back, run them again, and seed; in production only with --force
It uses DATABASE_URL, or the embedded database while a tree of this folder runs.`;
const MIGRATE = 'Meant for the release phase: it needs DATABASE_URL, and may run in several processes at once.';
const ROLLBACK = 'A batch is what one migrate has run. It needs DATABASE_URL.';
const GENERATES = 'write a job, mailer, preview, model, migration or route';
const DESTROYS = 'remove what generate has written';
const TOP = 'q ends it. Without a terminal it prints the tree once.';
const HELP = 'Of a command, its options and exit codes.';

/** One line a command. */
export const CLI_COMMANDS: readonly CliCommand[] = [
  { ...here, name: 'new', summary: 'make a new app in a folder of its own', usage: 'NAME', run: makeApp },
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
    summary: 'start the tree, and reload it when a source changes',
    usage: '[OPTIONS]',
    details: DEV,
    run: dev,
  },
  { ...app, name: 'check', summary: 'find what is wrong in the app', usage: '[--json]', details: CHECK },
  { ...app, name: 'doctor', summary: 'find what is wrong around the app', usage: '[--json]', details: DOCTOR },
  { ...app, name: 'run', summary: 'run a script with the app connected', usage: 'FILE [ARGUMENT…]', details: RUN },
  { ...app, name: 'console', summary: 'type code with models, jobs and mailers at hand', details: CONSOLE },
  {
    ...app,
    name: 'db',
    summary: 'migrate, rollback, status, separate, make, seed or reset',
    usage: 'COMMAND',
    details: DB,
    run: db,
  },
  { ...app, name: 'migrate', summary: 'bring the database up to date', details: MIGRATE },
  { ...app, name: 'rollback', summary: 'take the last batch of migrations back', details: ROLLBACK },
  { ...here, name: 'generate', summary: GENERATES, run: generate('generate') },
  { ...here, name: 'destroy', summary: DESTROYS, run: generate('destroy') },
  {
    ...here,
    name: 'top',
    summary: 'show the running tree live; h tells its keys; once when not on a terminal',
    details: TOP,
  },
  { ...here, name: 'version', summary: 'print the version', details: 'Of Catamount, not of the app.' },
  { ...here, name: 'help', summary: 'print this, or more of one command', usage: '[COMMAND]', details: HELP },
];

const print = (text: string) => void process.stdout.write(text);

/** Loaded only when it runs, as is all that a tree has no use for. */
async function makeApp(args: readonly string[]): Promise<void> {
  await (await import('./generate/new-command')).runNew(args, process.cwd(), print);
}

async function dev(args: readonly string[]): Promise<void> {
  await (await import('./dev/command')).runDev(args, findEntry);
}

function generate(verb: 'generate' | 'destroy'): NonNullable<CliCommand['run']> {
  return async (args) => (await import('./generate/command')).runGenerator(verb, args, process.cwd(), print);
}

/** A new migration is written by the generator, all else is done by the app. */
async function db(args: readonly string[]): Promise<void> {
  const at = args.findIndex((word) => !word.startsWith('-'));
  if (args[at] === 'make') return generate('generate')(['migration', ...args.toSpliced(at, 1)]);
  await runApp(['db', ...args]);
}
