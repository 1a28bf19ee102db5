// Makes a page live: patches what its event stream tells of. Every page is complete without this.
(() => {
  const { live: url, liveOn, liveOff } = document.body.dataset;
  const lamp = document.getElementById('live');
  if (!url || !lamp) return;
  const [word, time] = lamp.children;

  const show = (state, text) => {
    lamp.dataset.state = state;
    word.textContent = text;
  };
  const tick = () => {
    const now = new Date().toISOString();
    time.dateTime = now;
    time.textContent = now.slice(11, 19);
  };

  const source = new EventSource(url);
  source.onopen = () => {
    show('ok', liveOn);
    tick();
  };
  source.onerror = () => show('unknown', liveOff);
  source.addEventListener('tick', tick);
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
  addEventListener('pagehide', () => source.close());
})();
