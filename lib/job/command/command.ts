import type { Desk } from './desk';
import type { OptionName, Options } from './options';

/** What a command came to: the same for programs and for people. */
export interface Answer {
  readonly json: unknown;
  readonly text: string;
  /** Remarks and refusals, a line each: they go to standard error, and not beside JSON, which holds them already. */
  readonly notes?: readonly string[];
  /** false: something that was asked for could not be done. Default true. */
  readonly ok?: boolean;
}

export type Run = (desk: Desk) => Promise<Answer>;

/** A word behind the command's name. */
export interface Operand {
  /** In the help. */
  readonly name: string;
  readonly optional?: true;
  /** Any number of them. */
  readonly repeated?: true;
  /** What may be given in its place. */
  readonly instead?: OptionName;
}

export interface CommandInput {
  readonly operands: readonly string[];
  readonly options: Options;
}

/** Something an operator can have done to jobs, queues and the like by typing it. */
export interface JobCommand {
  /** As it is typed behind `jobs`. */
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly options: readonly OptionName[];
  /** What must answer for it to be of use. */
  readonly needs: readonly ('redis' | 'postgres')[];
  /** One line, for the help and the README. */
  readonly help: string;
  /** Checks what was typed before anything is connected. @throws UserError, exit code 64. */
  prepare(input: CommandInput): Run;
}

export const BOTH = ['redis', 'postgres'] as const;

/** How it is typed behind `catamount`: `jobs enqueue CLASS [JSON]`. */
export function usageOf({ name, operands }: Pick<JobCommand, 'name' | 'operands'>): string {
  const words = operands.map((operand) => {
    const word = operand.repeated ? `${operand.name}…` : operand.name;
    if (operand.instead) return `${word} or --${operand.instead}`;
    return operand.optional ? `[${word}]` : word;
  });
  return ['jobs', name, ...words].join(' ');
}
