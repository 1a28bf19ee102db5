import fs from 'node:fs/promises';

/** How far back a log is read, bytes. */
const LOOKED_AT = 16 * 1024 * 1024;
const CHUNK = 256 * 1024;
const LINE_LENGTH = 4000;

/** Of the end of a log the latest lines that hold a text, the oldest first. @param most how many. */
export async function logLines(file: string, text: string, most: number): Promise<string[]> {
  const handle = await fs.open(file);
  try {
    const { size } = await handle.stat();
    const found: string[] = [];
    // What is left of the line that the chunk behind this one begins within.
    let rest = Buffer.alloc(0);
    for (let end = size; end > 0 && found.length < most && size - end < LOOKED_AT; end -= CHUNK) {
      const start = Math.max(0, end - CHUNK);
      const chunk = Buffer.alloc(end - start);
      await handle.read(chunk, 0, chunk.length, start);
      const whole = Buffer.concat([chunk, rest]);
      const newline = whole.indexOf(10);
      const first = start === 0 ? 0 : newline === -1 ? whole.length : newline + 1;
      rest = whole.subarray(0, first);
      const lines = whole.subarray(first).toString('utf8').split('\n');
      found.unshift(...lines.filter((line) => line.includes(text)).map((line) => line.slice(0, LINE_LENGTH)));
    }
    return found.slice(-most);
  } finally {
    await handle.close();
  }
}
