import { dice } from '../support/dice';

/** Bytes that have a meaning to parsers. */
const TELLING = [0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x27, 0x2c, 0x2d, 0x2f, 0x3a, 0x3b, 0x5b, 0x5c, 0x7b, 0x7d, 0x7f];
const MORE_TELLING = [0x80, 0xc0, 0xe2, 0xed, 0xf0, 0xff];
const ALL_TELLING = [...TELLING, ...MORE_TELLING];
const MOST_CHANGES = 6;
const LONGEST_REPEAT = 2000;

type Change = (bytes: Buffer) => Buffer;

/** A fuzzer of bytes: changes its input in a few random places, which are the same for the same seed. */
export class Mutator {
  private readonly roll: (sides: number) => number;
  private readonly changes: readonly Change[];

  /** @param words the tokens of the format, which are inserted anywhere. */
  constructor(
    seed: number,
    private readonly words: readonly string[],
  ) {
    this.roll = dice(seed);
    this.changes = [
      (bytes) => this.put(bytes, Buffer.from([this.roll(256)]), 1),
      (bytes) => this.put(bytes, Buffer.from([ALL_TELLING[this.roll(ALL_TELLING.length)] ?? 0]), 1),
      (bytes) => this.put(bytes, Buffer.from([(bytes[this.at(bytes)] ?? 0) ^ (1 << this.roll(8))]), 1),
      (bytes) => this.put(bytes, Buffer.alloc(0), 1 + this.roll(8)),
      (bytes) => this.put(bytes, this.word(), 0),
      (bytes) => this.put(bytes, this.word(), this.roll(8)),
      (bytes) => bytes.subarray(0, this.at(bytes)),
      (bytes) => this.put(bytes, this.part(bytes), 0),
      (bytes) => this.put(bytes, this.part(bytes), this.roll(20)),
      (bytes) => this.put(bytes, this.repeated(bytes), 0),
    ];
  }

  /** @returns one of these, at random. */
  pick<T>(all: readonly [T, ...T[]]): T {
    return all[this.roll(all.length)] ?? all[0];
  }

  /** @returns a changed copy of one of the seeds. */
  mutate(seeds: readonly [string, ...string[]]): Buffer {
    let bytes: Buffer = Buffer.from(this.pick(seeds), 'utf8');
    for (let left = 1 + this.roll(MOST_CHANGES); left > 0; left--) {
      bytes = (this.changes[this.roll(this.changes.length)] ?? ((same: Buffer) => same))(bytes);
    }
    return bytes;
  }

  private at(bytes: Buffer): number {
    return this.roll(bytes.length + 1);
  }

  private word(): Buffer {
    return Buffer.from(this.words[this.roll(this.words.length)] ?? '', 'utf8');
  }

  private part(bytes: Buffer): Buffer {
    const from = this.at(bytes);
    return bytes.subarray(from, from + this.roll(40));
  }

  private repeated(bytes: Buffer): Buffer {
    const what = this.roll(2) === 0 ? this.word() : bytes.subarray(this.at(bytes)).subarray(0, 1 + this.roll(4));
    const times = Math.floor(this.roll(LONGEST_REPEAT) / Math.max(1, what.length));
    return Buffer.concat(Array.from({ length: times }, () => what));
  }

  /** Replaces `over` bytes at a random place with `what`. */
  private put(bytes: Buffer, what: Buffer, over: number): Buffer {
    const at = this.at(bytes);
    return Buffer.concat([bytes.subarray(0, at), what, bytes.subarray(at + over)]);
  }
}
