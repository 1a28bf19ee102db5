// Makes a page live: patches what its event stream tells of. Every page is complete without this.
(() => {
  // On a phone the list of pages is wider than the window.
  const current = document.querySelector('.nav [aria-current]');
  if (current) {
    const [nav, item] = [current.parentElement, current.getBoundingClientRect()];
    const frame = nav.getBoundingClientRect();
    nav.scrollLeft += item.left - frame.left - (frame.width - item.width) / 2;
  }

  const { live: url, liveOn, liveOff } = document.body.dataset;
  const lamp = document.getElementById('live');
  if (!url || !lamp) return;
  const UNRESPONSIVE_MS = 4000;
  const AGAIN_MS = 2500;
  const LOST_MS = 10_000;
  const REFUSED_MS = 10_000;
  const [word, time] = lamp.children;

  const show = (state, text) => {
    lamp.dataset.state = state;
    word.textContent = text;
  };
  const put = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };
  const tick = () => {
    const now = new Date().toISOString();
    time.dateTime = now;
    time.textContent = now.slice(11, 19);
  };

  let source;
  let again;
  // Of a stream that tells something every second: when it last did.
  let heardAt;
  // Values that no longer arrive are shown as unknown, not as they were.
  const forget = () => {
    for (const number of document.querySelectorAll('[data-count]')) put(number, '–');
  };
  let lost;
  const lose = () => {
    lost ??= setTimeout(forget, LOST_MS);
    show('unknown', liveOff);
    document.dispatchEvent(new Event('live:lost'));
  };
  const connect = () => {
    clearTimeout(again);
    source = new EventSource(url);
    source.onopen = () => {
      clearTimeout(lost);
      lost = undefined;
      show('ok', liveOn);
      tick();
      document.dispatchEvent(new Event('live:back'));
    };
    source.onerror = () => {
      lose();
      // The browser asks again after a break, but never after an answer that is no stream, such as a 503.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, REFUSED_MS);
    };
    source.addEventListener('tick', tick);
    // For the script of the page.
    source.addEventListener('overview', ({ data }) => {
      tick();
      heardAt = performance.now();
      document.dispatchEvent(new CustomEvent('live:overview', { detail: JSON.parse(data) }));
    });
    // Numbers change where they stand; whatever else has changed is told as news.
    source.addEventListener('counts', ({ data }) => {
      for (const [name, text] of Object.entries(JSON.parse(data)))
        put(document.querySelector(`[data-count="${name}"]`), text);
    });
    source.addEventListener('patch', ({ data }) => {
      for (const { id, texts, share } of JSON.parse(data)) {
        const row = document.getElementById(id);
        for (const [name, text] of Object.entries(texts)) put(row?.querySelector(`[data-n="${name}"]`), text);
        if (typeof share === 'number') row?.querySelector('.bar rect')?.setAttribute('width', `${share * 100}%`);
      }
    });
    // What the page shows has changed, and it is the kind of page that is simply shown anew.
    source.addEventListener('reload', () => location.reload());
    // Lists never move under the hand: the reader is told, and asks for it.
    source.addEventListener('news', ({ data }) => {
      const note = document.getElementById('news');
      if (!note) return;
      const { text } = JSON.parse(data);
      note.querySelector('a').textContent = text;
      note.hidden = false;
    });
  };
  connect();
  // A worker whose loop is blocked ends no stream: another one is asked.
  setInterval(() => {
    if (heardAt === undefined || performance.now() - heardAt < UNRESPONSIVE_MS) return;
    // Should it be the blocked one again, which takes one connection more, that is noticed sooner.
    heardAt = performance.now() - UNRESPONSIVE_MS + AGAIN_MS;
    source.close();
    lose();
    connect();
  }, 1000);
  addEventListener('pagehide', () => {
    clearTimeout(again);
    source.close();
  });
})();
