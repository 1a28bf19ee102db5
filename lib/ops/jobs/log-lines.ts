import fs from 'node:fs/promises';

/** Maximum number of bytes that are read from the end of a log. */
const MAX_BYTES_READ = 16 * 1024 * 1024;
const CHUNK = 256 * 1024;
const MAX_LINE_LENGTH = 4000;

/** The latest lines of a log that contain a text, the oldest first. @param most maximum number of lines. */
export async function logLines(file: string, text: string, most: number): Promise<string[]> {
  const handle = await fs.open(file);
  try {
    const { size } = await handle.stat();
    const found: string[] = [];
    // The end of a line that begins in the chunk before, since the log is read backwards.
    let rest = Buffer.alloc(0);
    for (let end = size; end > 0 && found.length < most && size - end < MAX_BYTES_READ; end -= CHUNK) {
      const start = Math.max(0, end - CHUNK);
      const chunk = Buffer.alloc(end - start);
      await handle.read(chunk, 0, chunk.length, start);
      const whole = Buffer.concat([chunk, rest]);
      const newline = whole.indexOf(10);
      const first = start === 0 ? 0 : newline === -1 ? whole.length : newline + 1;
      rest = whole.subarray(0, first);
      const lines = whole.subarray(first).toString('utf8').split('\n');
      found.unshift(...lines.filter((line) => line.includes(text)).map((line) => line.slice(0, MAX_LINE_LENGTH)));
    }
    return found.slice(-most);
  } finally {
    await handle.close();
  }
}
