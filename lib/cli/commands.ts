/** A command of `catamount` that is none of the running tree (cluster/control/commands) and none of `jobs`. */
export interface CliCommand {
  readonly name: string;
  /** One line of `catamount help`. */
  readonly summary: string;
  /** Words and options behind the name. */
  readonly usage: string;
  /** What `catamount help NAME` tells besides. */
  readonly details: string;
  /** true: the app's own entry file runs it, through `boot`, and reads its options. */
  readonly inApp: boolean;
  /** Runs the command with the words behind its name, which it reads itself, `--help` too. Default: `main` knows it. */
  readonly run?: (args: readonly string[]) => Promise<void>;
}

const app = { inApp: true, usage: '', details: '' };
const here = { inApp: false, usage: '', details: '' };

/** One line a command. */
export const CLI_COMMANDS: readonly CliCommand[] = [
  { ...app, name: 'start', summary: 'start the tree (the default)', usage: '[--only web|jobs]' },
  { ...app, name: 'check', summary: 'find what is wrong in the app before it is deployed', usage: '[--json]' },
  { ...app, name: 'migrate', summary: 'bring the database up to date' },
  { ...app, name: 'rollback', summary: 'take the last batch of migrations back' },
  {
    ...here,
    name: 'generate',
    summary: 'write a job, mailer, preview, model, migration or route',
    run: generate('generate'),
  },
  { ...here, name: 'destroy', summary: 'remove what generate has written', run: generate('destroy') },
  { ...here, name: 'top', summary: 'show the running tree live; h tells its keys; once when not on a terminal' },
  { ...here, name: 'version', summary: 'print the version' },
  { ...here, name: 'help', summary: 'print this, or what there is to say about one command', usage: '[COMMAND]' },
];

function generate(verb: 'generate' | 'destroy'): NonNullable<CliCommand['run']> {
  const print = (text: string) => void process.stdout.write(text);
  // Loaded only when it runs, as is all that a tree has no use for.
  return async (args) => (await import('./generate/command')).runGenerator(verb, args, process.cwd(), print);
}
