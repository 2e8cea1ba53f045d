// All that goes between this page and its node: requests, and the stream of what happens.

export const mark = document.querySelector('meta[name="pgkeel-page"]').content;
let csrf = '';

// {ok, status, body}: never throws. body.error and body.mend are for people.
export async function ask(method, path, body) {
    const headers = {'x-pgkeel-page': mark};
    if (method === 'POST') {
        headers['x-pgkeel-csrf'] = csrf;
        headers['content-type'] = 'application/json';
    }
    try {
        const answer = await fetch(path, {method, headers, body: body === undefined ? undefined : JSON.stringify(body),
                                          credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(15000)});
        const text = await answer.text();
        let read = {};
        try { read = JSON.parse(text); } catch { read = {error: 'the answer cannot be read', mend: 'load the page again'}; }
        return {ok: answer.ok, status: answer.status, body: read};
    } catch {
        return {ok: false, status: 0, body: {error: 'this node does not answer', mend: method === 'POST' ?
            'look at the state before you ask again: it may have been done' : 'it is asked again by itself'}};
    }
}

export async function session() {
    const answer = await ask('GET', '/dashboard/session');
    if (answer.ok) csrf = answer.body.csrf;
    return answer;
}

export async function logIn(token) {
    const answer = await ask('POST', '/dashboard/login', {token});
    if (answer.ok) csrf = answer.body.csrf;
    return answer;
}

export async function logOut() {
    await ask('POST', '/dashboard/logout', {});
    csrf = '';
}

// Calls on.hello, on.status, on.history, on.alerts, on.kept, on.proxy with what the node tells, on.silent when it tells nothing any more,
// on.bye when the log-in is over. Begins again by itself until stop().
export function follow(on) {
    const kSilentAfter = 3500;
    let source = null, heard = 0, stopped = false;
    function open() {
        heard = Date.now();
        source = new EventSource('/dashboard/live');
        for (const name of ['hello', 'status', 'history', 'alerts', 'kept', 'proxy']) {
            source.addEventListener(name, (event) => {
                heard = Date.now();
                on[name](JSON.parse(event.data));
            });
        }
        source.addEventListener('bye', (event) => {
            stop();
            on.bye(JSON.parse(event.data));
        });
        source.onerror = async () => {
            on.silent();
            if (!source || source.readyState !== EventSource.CLOSED) return;
            const known = await session();  // refused: is it the log-in?
            if (known.status === 401 && !stopped) {
                stop();
                on.bye(known.body);
            }
        };
    }
    const watch = setInterval(() => {
        if (Date.now() - heard < kSilentAfter) return;
        on.silent();
        source.close();
        open();
    }, 500);
    function stop() {
        stopped = true;
        clearInterval(watch);
        source.close();
    }
    open();
    return stop;
}
