import { EXIT, UserError } from '../../core/errors';
import { Model } from '../../model/model';
import { didYouMean } from '../../support/did-you-mean';
import { nameTaken, parseName, requireOnce } from './names';

/** A column of a table, and the property for its value. */
export interface Field {
  readonly column: string;
  readonly property: string;
  readonly nullable: boolean;
  /** The TypeScript type, without null. */
  readonly type: string;
  /** The method of knex's table builder. */
  readonly builder: string;
  /** An expression for a value, which Postgres returns unchanged. */
  readonly sample: string;
}

/** Types by their names in a command. The driver of Postgres returns bigint and decimal as text. */
const TYPES: Readonly<Record<string, Pick<Field, 'type' | 'builder' | 'sample'>>> = {
  text: { type: 'string', builder: 'text', sample: "'text'" },
  integer: { type: 'number', builder: 'integer', sample: '7' },
  bigint: { type: 'string', builder: 'bigInteger', sample: "'7'" },
  decimal: { type: 'string', builder: 'decimal', sample: "'7.50'" },
  boolean: { type: 'boolean', builder: 'boolean', sample: 'true' },
  timestamp: { type: 'Date', builder: 'timestamp', sample: "new Date('2026-01-02T03:04:05Z')" },
  uuid: { type: 'string', builder: 'uuid', sample: "'6ba7b810-9dad-41d1-80b4-00c04fd430c8'" },
  json: { type: 'object', builder: 'jsonb', sample: '{ key: 7 }' },
};

/** Columns that every table has. */
const OWN = ['id', 'created_at', 'updated_at'];

/**
 * Reads the fields of a model: `title`, `views:integer`, `published_at:timestamp?`. The question mark allows null.
 * @throws UserError for an unknown type, and for a column that every table has or that is given twice.
 */
export function parseFields(texts: readonly string[]): Field[] {
  const fields = texts.map((text) => {
    const [column = '', type = 'text', ...more] = text.replace(/\?$/, '').split(':');
    const { snake, camel } = parseName('field', column, 'title:text');
    const found = Object.hasOwn(TYPES, type) && more.length === 0 ? TYPES[type] : undefined;
    if (!found) {
      const meant = didYouMean(type, Object.keys(TYPES));
      throw new UserError(
        `${JSON.stringify(text)}: there is no type ${type}${meant === undefined ? '' : ` (${meant}?)`}. ` +
          `Give one of ${Object.keys(TYPES).join(', ')}, followed by ? if the value may be null.`,
        EXIT.usage,
      );
    }
    if (OWN.includes(snake)) {
      throw new UserError(`Leave ${column} out: every table has ${OWN.join(', ')}.`, EXIT.usage);
    }
    if (camel in Model.prototype) throw nameTaken('field', `Every model already has ${camel}`);
    return { column: snake, property: camel, nullable: text.endsWith('?'), ...found };
  });
  requireOnce(
    'field',
    fields.map(({ column }) => column),
  );
  return fields;
}
