import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { EncryptionKey } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { JsonValue } from '../../core/execution-context';
import { MissingKeyError } from '../definition/errors';
import { type Payload, UnreadableJobError } from './payload';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG = { authTagLength: 16 } as const;

/** What encrypted values belong to. With another id, class or part they cannot be read. */
interface Owner {
  readonly id: string;
  readonly class: string;
  /** Which values of the job they are. Default: its arguments. */
  readonly part?: string;
  /** The unique key of a job that may be replaced: its arguments belong to that instead of the id. */
  readonly sealedFor?: string | undefined;
}

/** The keys of JOB_ENCRYPTION_KEYS: the first encrypts, all decrypt. */
export class Keyring {
  private readonly keys: ReadonlyMap<string, Buffer>;
  private readonly digestKey: Buffer;

  constructor(private readonly given: readonly [EncryptionKey, ...EncryptionKey[]]) {
    this.keys = new Map(given.map(({ id, key }) => [id, Buffer.from(key, 'base64')]));
    // No key serves two purposes.
    this.digestKey = Buffer.from(hkdfSync('sha256', Buffer.from(given[0].key, 'base64'), '', 'catamount digest', 32));
  }

  /** @returns the id of the key, the nonce, the tag and the encrypted values, with points between. */
  encrypt(values: readonly JsonValue[], owner: Owner): string {
    const [{ id }] = this.given;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.keys.get(id) as Buffer, nonce, TAG).setAAD(boundTo(owner));
    const text = Buffer.concat([cipher.update(JSON.stringify(values), 'utf8'), cipher.final()]);
    return [id, ...[nonce, cipher.getAuthTag(), text].map((part) => part.toString('base64url'))].join('.');
  }

  /**
   * @returns the JSON of the values.
   * @throws MissingKeyError; UnreadableJobError when the text was changed, or belongs to another job.
   */
  decrypt(encrypted: string, owner: Owner): string {
    const [id = '', ...parts] = encrypted.split('.');
    const key = this.keys.get(id);
    if (!key) throw new MissingKeyError(owner.class, id);
    const [nonce, tag, text] = parts.map((part) => Buffer.from(part, 'base64url'));
    try {
      if (!nonce || !tag || !text) throw new Error('a part is missing');
      const decipher = createDecipheriv(CIPHER, key, nonce, TAG).setAAD(boundTo(owner)).setAuthTag(tag);
      return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8');
    } catch (cause) {
      const why = `they were changed, belong to another job, or the key ${id} is another one`;
      throw new UnreadableJobError(
        `the encrypted ${owner.part ?? 'arguments'} of ${owner.class} cannot be read: ${why}`,
        { cause },
      );
    }
  }

  /** Stands for a value in an index: equal for equal values, and unknown without the key. */
  digest(value: string): string {
    return createHmac('sha256', this.digestKey).update(value).digest('base64url');
  }
}

/** @returns undefined without keys. */
export function keyringOf([first, ...others]: readonly EncryptionKey[] = []): Keyring | undefined {
  return first && new Keyring([first, ...others]);
}

/** A keyring for tests, which is gone with the process. */
export function ephemeralKeyring(): Keyring {
  return new Keyring([{ id: 'test', key: randomBytes(32).toString('base64') }]);
}

/** @throws UserError that names the class or mailer, when there are no keys. */
export function requireKeys(name: string, keys: Keyring | undefined): Keyring {
  if (keys) return keys;
  throw new UserError(
    `${name} has encrypt = true, but there is no key: set JOB_ENCRYPTION_KEYS, such as 2026a:KEY with a KEY of openssl rand -base64 32`,
    EXIT.config,
  );
}

/**
 * The arguments of a job, decrypted if they are encrypted.
 * @throws MissingKeyError; UnreadableJobError when they were changed, or belong to another job.
 */
export function readArguments(
  { encrypted, sealedFor, class: name, args }: Pick<Payload, 'class' | 'args' | 'encrypted' | 'sealedFor'>,
  id: string,
  keys: Keyring | undefined,
): Payload['args'] {
  if (encrypted === undefined) return args;
  if (!keys) throw new MissingKeyError(name, encrypted.split('.', 1)[0] ?? '');
  return JSON.parse(keys.decrypt(encrypted, { id, class: name, sealedFor })) as Payload['args'];
}

function boundTo({ id, class: name, part, sealedFor }: Owner): Buffer {
  if (sealedFor !== undefined) return Buffer.from(JSON.stringify(['key', sealedFor, name]));
  return Buffer.from(JSON.stringify([id.toLowerCase(), name, ...(part === undefined ? [] : [part])]));
}
