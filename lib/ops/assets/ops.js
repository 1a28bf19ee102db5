// Keeps a page up to date from its event stream. Every page is complete without this script.
(() => {
  // On a phone the list of pages is wider than the window: scroll to the current page.
  const current = document.querySelector('.nav [aria-current]');
  if (current) {
    const [nav, item] = [current.parentElement, current.getBoundingClientRect()];
    const frame = nav.getBoundingClientRect();
    nav.scrollLeft += item.left - frame.left - (frame.width - item.width) / 2;
  }

  // A double click on a button sends its form once.
  document.addEventListener('submit', (event) => {
    const { method, dataset } = event.target;
    if (method === 'post' && dataset.sent) event.preventDefault();
    dataset.sent = 'yes';
  });
  addEventListener('pageshow', () => {
    for (const form of document.forms) delete form.dataset.sent;
  });

  const { live: url, liveOn, liveOff } = document.body.dataset;
  const lamp = document.getElementById('live');
  if (!url || !lamp) return;
  const news = document.getElementById('news');
  const own = current?.querySelector('[data-count]');
  const listed = own?.textContent;
  const UNRESPONSIVE_MS = 5000;
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
  // Time of the last event of a stream that sends one every two seconds; undefined for all other streams.
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
      // The browser reconnects after a disconnect, but never after a response that is not a stream, such as a 503.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, REFUSED_MS);
    };
    source.addEventListener('tick', tick);
    // Handled by parts.js.
    source.addEventListener('parts', ({ data }) => {
      tick();
      heardAt = performance.now();
      document.dispatchEvent(new CustomEvent('live:parts', { detail: JSON.parse(data) }));
    });
    // A list never changes under the pointer: when its number in the header does, a note offers to show the changes.
    source.addEventListener('counts', ({ data }) => {
      for (const [name, text] of Object.entries(JSON.parse(data)))
        put(document.querySelector(`[data-count="${name}"]`), text);
      const now = own?.textContent ?? '–';
      if (!news || now === '–' || now === listed) return;
      const link = news.querySelector('a');
      put(link, link.dataset.text);
      news.hidden = false;
    });
    // Sent to pages that are simply reloaded when their content has changed.
    source.addEventListener('reload', () => location.reload());
  };
  connect();
  // A worker whose event loop is blocked does not end its streams: reconnect, if possible to another worker.
  setInterval(() => {
    if (heardAt === undefined || performance.now() - heardAt < UNRESPONSIVE_MS) return;
    // If the blocked worker gets this connection, too, that is noticed sooner.
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
