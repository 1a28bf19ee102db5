import assert from 'node:assert/strict';
import fs from 'node:fs';
import { RequestJournal, RequestJournalReader } from '../../lib/cluster/request-journal';
import { tempFolder } from '../support/temp-folder';

describe('the request journal of a worker', () => {
  it('shows another process the last request that began, even after a longer one, and leaves no file behind', () => {
    const note = RequestJournal.open(tempFolder());
    assert.ok(note);
    assert.equal(fs.statSync(note.file).mode & 0o777, 0o600);
    const reader = RequestJournalReader.take(note.file);
    assert.ok(reader && !fs.existsSync(note.file));
    assert.equal(reader.read(), undefined);
    note.write(`GET /${'long'.repeat(1000)}`, 'r-1');
    assert.equal(reader.read()?.what.length, 500);
    const begunAt = Date.now();
    note.write('GET /a%20b?c', 'r-2');
    const { ageMs, ...begun } = reader.read() ?? { ageMs: Number.NaN };
    assert.deepEqual(begun, { what: 'GET /a%20b?c', id: 'r-2' });
    assert.ok(ageMs >= 0 && ageMs <= Date.now() - begunAt);
    reader.close();
  });

  it('replaces the file that a killed process with the same pid left behind', () => {
    const left = RequestJournal.open(tempFolder());
    left?.write('GET /old', 'r-1');
    const note = RequestJournal.open(tempFolder());
    assert.ok(left && note && note.file === left.file);
    const reader = RequestJournalReader.take(note.file);
    assert.equal(reader?.read(), undefined);
    reader?.close();
  });
});
