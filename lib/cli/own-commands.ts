/** A command with options of its own: it gets all the words that stand behind its name. */
export interface OwnCommand {
  readonly name: string;
  readonly usage: string;
  /** One line, for `catamount help`. */
  readonly help: string;
  readonly run: (args: readonly string[]) => Promise<void>;
}

const print = (text: string) => void process.stdout.write(text);

/** Each loads what it needs only when it runs. */
export const OWN_COMMANDS: readonly OwnCommand[] = [
  {
    name: 'generate',
    usage: 'generate WHAT NAME',
    help: 'write a job, mailer, preview, model, migration or route, and its test',
    run: generate('generate'),
  },
  { name: 'destroy', usage: 'destroy WHAT NAME', help: 'remove what generate has written', run: generate('destroy') },
];

function generate(verb: 'generate' | 'destroy'): OwnCommand['run'] {
  return async (args) => (await import('./generate/command')).runGenerator(verb, args, process.cwd(), print);
}
