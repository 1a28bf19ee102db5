import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { NonBlockingWriter } from '../../lib/support/non-blocking-writer';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';

describe('a log into a pipe that nobody reads', () => {
  it('blocks nothing, resumes when the pipe is read again, and reports how many lines were dropped', async () => {
    const folder = tempFolder('pipe');
    const file = path.join(folder, 'pipe');
    execFileSync('mkfifo', [file]);
    const reader = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    const fd = fs.openSync(file, fs.constants.O_WRONLY);
    try {
      const writer = new NonBlockingWriter(fd);
      const drops: number[] = [];
      writer.onDropped = (count) => drops.push(count);
      const line = (n: number) => `${String(n).padStart(99, '0')}\n`;
      const count = 20_000;
      for (let n = 0; n < count; n++) writer.write(line(n));
      assert.deepEqual(drops, [], 'drops are reported once the pipe flows again');
      let text = '';
      const buffer = Buffer.alloc(65_536);
      await until('all buffered lines and the count of the dropped ones have arrived', () => {
        try {
          for (let length = 1; length > 0; ) {
            length = fs.readSync(reader, buffer);
            text += buffer.toString('utf8', 0, length);
          }
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        }
        return drops.length > 0 && text.length + (drops[0] ?? 0) * 100 === count * 100;
      });
      const kept = text.trimEnd().split('\n').map(Number);
      assert.deepEqual(kept, [...kept.keys()], 'whole lines, in their order');
      assert.ok((drops[0] ?? 0) > 0 && kept.length > 9000);
      writer.write('later\n');
      assert.equal(buffer.toString('utf8', 0, fs.readSync(reader, buffer)), 'later\n');
    } finally {
      fs.closeSync(fd);
      fs.closeSync(reader);
      removeFolder(folder);
    }
  });
});
