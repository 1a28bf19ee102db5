import { EXIT, UserError } from '../../core/errors';
import { parseName, requireOnce } from './names';

const ARGUMENTS: readonly string[] = ['string', 'number', 'boolean', 'Date', 'bigint'];
const SAMPLES: Readonly<Record<string, string>> = {
  string: "'1'",
  number: '1',
  boolean: 'true',
  Date: "new Date('2026-01-02T03:04:05Z')",
  bigint: '1n',
};

export interface Argument {
  readonly name: string;
  readonly type: string;
  readonly sample: string;
}

/**
 * Reads the arguments of a job: `userId`, `count:number`.
 * @throws UserError for an unknown type, and for an argument that is given twice.
 */
export function parseArguments(texts: readonly string[]): Argument[] {
  const args = texts.map((text) => {
    const [name = '', type = 'string', ...more] = text.split(':');
    const { camel } = parseName('argument', name, 'userId:string');
    const sample = more.length === 0 && Object.hasOwn(SAMPLES, type) ? SAMPLES[type] : undefined;
    if (sample === undefined) {
      throw new UserError(
        `${JSON.stringify(text)} is no argument. Give its name, or name:type with one of ${ARGUMENTS.join(', ')}.`,
        EXIT.usage,
      );
    }
    return { name: camel, type, sample };
  });
  requireOnce(
    'argument',
    args.map(({ name }) => name),
  );
  return args;
}
