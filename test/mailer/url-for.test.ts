import assert from 'node:assert/strict';
import fc from 'fast-check';
import { urlsBelow } from '../../lib/mailer/compose/action-run';
import { InvalidMailError } from '../../lib/mailer/definition/errors';

describe('urlFor', () => {
  const urlFor = urlsBelow('https://shop.example');
  const below = urlsBelow('https://shop.example:8443/store/');

  it('turns paths into absolute links', () => {
    assert.equal(urlFor('/orders/7'), 'https://shop.example/orders/7');
    assert.equal(urlFor('orders/7'), 'https://shop.example/orders/7');
    assert.equal(urlFor(''), 'https://shop.example/');
    assert.equal(urlFor('/a b/민지'), 'https://shop.example/a%20b/%EB%AF%BC%EC%A7%80');
    assert.equal(urlFor('/orders?page=2#last'), 'https://shop.example/orders?page=2#last');
    assert.equal(below('/orders/7'), 'https://shop.example:8443/store/orders/7');
    assert.equal(below(''), 'https://shop.example:8443/store');
    assert.equal(below('?a=1'), 'https://shop.example:8443/store?a=1');
  });

  it('adds the query, each value escaped once', () => {
    assert.equal(
      urlFor('/find', { q: 'a & b=c?', page: 2, all: true, none: undefined, no: null, tag: ['x', 'y'] }),
      'https://shop.example/find?q=a+%26+b%3Dc%3F&page=2&all=true&tag=x&tag=y',
    );
    assert.equal(urlFor('/find?q=old&x=1#top', { q: 'new' }), 'https://shop.example/find?x=1&q=new#top');
  });

  it('accepts absolute links to the app itself', () => {
    assert.equal(urlFor('https://shop.example/orders'), 'https://shop.example/orders');
    assert.equal(urlFor('HTTPS://SHOP.example:443/orders'), 'https://shop.example/orders');
    assert.equal(below('https://shop.example:8443/store/orders'), 'https://shop.example:8443/store/orders');
  });

  it('rejects links to anywhere else', () => {
    const elsewhere = [
      'https://evil.example/',
      'http://shop.example/',
      'https://shop.example.evil.example/',
      'https://shop.example@evil.example/',
      'https://ada:secret@shop.example/',
      'https:evil.example',
      '//evil.example/x',
      '///evil.example',
      ' //evil.example',
      '/\\evil.example',
      '\\\\evil.example',
      '/\t/evil.example',
      '/\n/evil.example',
      'javascript:alert(1)',
      'java\nscript:alert(1)',
      'mailto:x@evil.example',
      'data:text/html,x',
    ];
    for (const path of elsewhere) {
      assert.throws(() => urlFor(path), InvalidMailError, JSON.stringify(path));
      assert.throws(() => below(path), InvalidMailError, JSON.stringify(path));
    }
    assert.throws(() => below('/../admin'), InvalidMailError);
    assert.throws(() => below('https://shop.example:8443/storehouse'), InvalidMailError);
    assert.throws(() => urlFor('//evil.example'), {
      message:
        'urlFor: "//evil.example" is not below APP_URL, which is https://shop.example; give a path such as /orders/7',
    });
  });

  it('never leaves the host, whatever the input', () => {
    const piece = fc.constantFrom(...'/ \\ // evil.example @ : https: . .. ? # %2f'.split(' '), ' ', '\t');
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(piece, fc.string({ maxLength: 3 }))).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(text, (path) => {
        let url: string;
        try {
          url = below(path);
        } catch (error) {
          return error instanceof InvalidMailError;
        }
        const { origin, pathname } = new URL(url);
        return origin === 'https://shop.example:8443' && /^\/store(\/|$)/.test(pathname);
      }),
      { numRuns: 2000 },
    );
  });
});
