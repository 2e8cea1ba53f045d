// The dashboard: who is logged in, what the node tells, and what of it is on the page.
import {h, patch} from './dom.js';
import * as dialogs from './actions.js';
import {alerts} from './alerts.js';
import {backups} from './backups.js';
import {keepLag, lagChart, phases} from './charts.js';
import {events, why} from './events.js';
import {availability, configuration, keepProxy, proxyPanel} from './figures.js';
import {pageOf, topology} from './nodes.js';
import {ask, follow, logIn, logOut, mark, session} from './wire.js';
import {clock, span} from './words.js';

const page = document.getElementById('page');
const state = {
    who: '', role: '', refused: null, busy: false,      // the log-in
    scene: null, history: [], alerts: null, kept: [], version: '',  // what the node tells
    explanation: {sentence: '…', evidence: []},
    proxy: undefined, ledger: null, settings: [],
    silent: false, told: 0, stale: '',
    lag: Object.create(null), filter: 'all', shown: 30, day: 0, notes: [],
};
const kRank = {read: 0, operate: 1, admin: 2};
let stop = null, drawn = false, explained = '';

// ---- drawing ----

function render() {
    if (drawn) return;
    drawn = true;
    // Not requestAnimationFrame alone: a page in the background gets none, and its title must stay true.
    setTimeout(() => { drawn = false; draw(); }, 0);
}

function draw() {
    patch(page, state.role === '' ? logInPage() : state.scene ? dashboard() : [h('p', {class: 'notice'}, 'Waiting for the node…')]);
    dialogs.draw();
    const status = state.scene && state.scene.status;
    const sign = !status || state.role === '' ? '' : state.silent ? '? ' : {ok: '', degraded: '▲ ', down: '■ '}[status.health] || '';
    document.title = status && state.role !== '' ? `${sign}${status.cluster} · pgkeel` : 'pgkeel';
}

function emblem() {
    return h('svg', {class: 'emblem', viewBox: '0 0 32 32', 'aria-hidden': 'true'}, h('rect', {width: 32, height: 32, rx: 8}),
        h('path', {class: 'hull', d: 'M6 11h20c-.8 6.500-4.500 11-10 11S6.800 17.500 6 11z'}), h('path', {class: 'fin', d: 'M16 21v6'}));
}

function logInPage() {
    const submit = async (event) => {
        event.preventDefault();
        if (state.busy) return;
        const field = event.target.elements.token;
        state.busy = true;
        render();
        const answer = await logIn(field.value.trim());
        field.value = '';
        state.busy = false;
        state.refused = answer.ok ? null : answer.body;
        if (answer.ok) enter(answer.body);
        render();
    };
    return [h('main', {class: 'door'}, h('form', {class: 'panel', onsubmit: submit}, emblem(), h('h1', null, 'pgkeel'),
        h('label', {class: 'field'}, h('span', null, 'Access token'),
            h('input', {type: 'password', name: 'token', required: true, autocomplete: 'current-password', spellcheck: 'false', autofocus: true})),
        state.refused ? h('p', {class: 'problem', role: 'alert'}, state.refused.error, h('small', null, state.refused.mend)) : null,
        h('button', {type: 'submit', class: 'act', disabled: state.busy}, 'Log in'),
        h('p', {class: 'hint'}, 'An administrator makes one on a node:', h('code', null, 'pgkeel access add NAME --role operate'),
            'The role read looks on; operate also switches over, pauses and silences.')))];
}

function theme() {
    const now = document.documentElement.dataset.theme || 'auto';
    const next = {auto: 'light', light: 'dark', dark: 'auto'}[now];
    return h('button', {type: 'button', class: 'quiet', title: `Colours: ${now}. Press for ${next}.`, 'aria-label': `Colours: ${now}`, onclick: () => { setTheme(next); render(); }},
        {auto: '◐', light: '○', dark: '●'}[now]);
}

function setTheme(name) {
    if (name === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    try { localStorage.setItem('theme', name); } catch { /* a browser that keeps nothing */ }
}

function topBar() {
    const {status} = state.scene;
    return h('header', {class: 'top'}, emblem(), h('h1', {title: status.cluster_id}, status.cluster || 'no cluster yet'),
        h('p', {class: 'from'}, h('span', {class: 'pulse ' + (state.silent ? 'silent' : 'live'), 'aria-hidden': 'true'}),
            state.silent ? `silent since ${clock(state.told)}` : 'live', h('span', {class: 'told'}, ` from ${status.told_by}`)),
        h('div', {class: 'me'}, theme(), h('span', {class: 'who', title: state.who}, state.who.replace('access token ', ''), h('small', null, state.role)),
            h('button', {type: 'button', class: 'quiet', onclick: leave}, 'Log out')));
}

function item(name, value, title) { return h('div', {title}, h('dt', null, name), h('dd', null, value)); }

function hero(actions) {
    const {status} = state.scene;
    const old = status.pending_restart.length ? `restart pending: ${status.pending_restart.join(', ')}` : '';
    return h('section', {class: 'hero ' + (state.silent ? 'unknown' : status.health), 'aria-label': 'Are we fine?'},
        h('p', {class: 'verdict', role: 'status', 'aria-live': 'polite'}, status.verdict),
        h('dl', {class: 'items'},
            item('epoch', status.epoch, 'counts the changes of leader'), item('phase', status.phase),
            item('mode', status.mode === 'async' ? 'async' : `${status.mode}, ${status.quorum}`, 'what an acknowledged commit survives'),
            item('commits wait for', status.sync.mode === 'async' || !status.sync_names.length ? 'nobody' :
                `${status.sync.quorum} of ${status.sync_names.filter((name) => name !== status.leader).join(', ') || 'nobody'}`, 'the sync set'),
            status.lease_ms !== null ? item('lease', span(status.lease_ms / 1000) === '0 s' ? `${status.lease_ms} ms` : (status.lease_ms / 1000).toFixed(1) + ' s') : null,
            item('fence', status.fence.split(' ')[0], status.fence), status.guardian ? item('guardian', status.guardian.split(':')[0].slice(0, 24), status.guardian) : null,
            item('here', status.reason, `what ${status.told_by} does, and why`)),
        status.activity ? h('p', {class: 'flag'}, status.activity) : null, old ? h('p', {class: 'flag'}, old) : null,
        status.paused ? h('p', {class: 'flag warn'}, 'Paused: failures are not handled.') : null,
        status.handover ? h('p', {class: 'flag warn'}, `Switchover ${status.handover}.`,
            actions.may ? h('button', {type: 'button', class: 'quiet', onclick: dialogs.cancel}, 'Take it back…') : null) : null,
        actions.may ? h('div', {class: 'buttons'}, h('button', {type: 'button', class: 'act', onclick: () => dialogs.switchover('')}, 'Switch over…'),
            h('button', {type: 'button', class: 'quiet', onclick: dialogs.pause}, status.paused ? 'Resume…' : 'Pause…')) : null);
}

function banners() {
    const {status} = state.scene, list = [];
    if (state.stale) list.push(h('p', {class: 'banner', role: 'alert', key: 'stale'}, state.stale));
    if (state.silent) {
        const others = status.members.filter((member) => member.name !== status.told_by && pageOf(member));
        list.push(h('p', {class: 'banner bad', role: 'alert', key: 'silent'}, `${status.told_by} tells nothing any more since ${clock(state.told)}: what you see is old. It is asked again all the time. `,
            others.length ? ['Look from ', others.map((member, number) => [number ? ' or ' : '', h('a', {href: pageOf(member), rel: 'noreferrer'}, member.name)]), '.'] : null));
    }
    return list;
}

function dashboard() {
    const may = kRank[state.role] >= kRank.operate && !state.silent;
    const actions = {may, ...dialogs, filter: (name) => { state.filter = name; render(); }, more: () => { state.shown += 100; render(); },
                     choose: (day) => { state.day = day; render(); }};
    return [topBar(), h('div', {class: 'banners', key: 'banners'}, banners()),
        h('main', {class: state.silent ? 'old' : ''}, hero(actions),
            h('div', {class: 'column'}, topology(state, actions), lagChart(state.lag, state.scene.status), backups(state, actions), configuration(state)),
            h('div', {class: 'column'}, alerts(state, actions), why(state.explanation), proxyPanel(state), availability(state), phases(state.scene)),
            events(state, actions)),
        h('footer', {class: 'foot'}, `pgkeel ${state.version}, cluster ${state.scene.status.cluster_id}, revision ${state.scene.status.revision}`),
        h('div', {class: 'notes', role: 'status', 'aria-live': 'polite'}, state.notes.map((one) => h('p', {key: one.number, class: one.bad ? 'bad' : ''}, one.text,
            h('button', {type: 'button', class: 'quiet', 'aria-label': 'Close', onclick: () => drop(one.number)}, '×'))))];
}

// ---- notes ----

let notes = 0;
function note(text, bad) {
    const number = ++notes;
    state.notes.push({number, text, bad});
    if (!bad) setTimeout(() => drop(number), 8000);
    render();
}
function drop(number) {
    state.notes = state.notes.filter((one) => one.number !== number);
    render();
}

// ---- what the node tells ----

async function explain() {
    const {status} = state.scene;
    const key = [status.epoch, status.phase, status.leader, status.sync_names.join(), status.blocked, status.paused].join('|');
    if (key === explained) return;
    explained = key;
    const answer = await ask('GET', '/explain');
    if (key !== explained) return;
    if (!answer.ok) explained = '';
    state.explanation = answer.body;
    render();
}

// What changes seldom is asked for.
async function askFor(path, name) {
    const answer = await ask('GET', path);
    if (!answer.ok || state.role === '') return;
    state[name] = answer.body;
    render();
}
function askSeldom() {
    if (state.role === '' || state.silent) return;
    askFor('/availability', 'ledger');
    askFor('/config/list', 'settings');
}

// A page of an older version than its node: it loads itself again, once.
function judgeVersion(hello) {
    state.version = hello.version;
    if (hello.page === mark) return;
    let before = '';
    try {
        before = sessionStorage.getItem('loaded for');
        sessionStorage.setItem('loaded for', hello.page);
    } catch { before = hello.page; }
    if (before === hello.page) {
        state.stale = `This page is of another version than its node (pgkeel ${hello.version}), and the browser keeps it: load it again without the cache.`;
    } else {
        state.stale = `This page is of another version than its node (pgkeel ${hello.version}) and loads itself again.`;
        setTimeout(() => location.reload(), 1500);
    }
    render();
}

const heard = {
    hello: judgeVersion,
    status(scene) {
        Object.assign(state, {scene, who: scene.who, role: scene.role, silent: false, told: Date.now()});
        keepLag(state.lag, scene.status);
        explain();
        render();
    },
    history(fresh) {
        const known = new Map(state.history.map((event) => [event.number, event]));
        for (const event of fresh) known.set(event.number, event);
        state.history = [...known.values()].sort((a, b) => a.number - b.number).slice(-500);
        explained = '';
        if (state.scene) explain();
        askSeldom();
        render();
    },
    proxy(glance) {
        state.proxy = keepProxy(state.proxy || [], glance);
        render();
    },
    alerts(listing) {
        state.alerts = {...listing, arrived: Date.now()};
        render();
    },
    kept(list) {
        state.kept = list;
        render();
    },
    silent() {
        state.silent = state.scene !== null;
        render();
    },
    bye(why) {
        forget();
        state.refused = why;
        render();
    },
};

function enter(login) {
    Object.assign(state, {who: login.who, role: login.role, refused: null});
    if (login.page !== mark) judgeVersion({page: login.page, version: 'of now'});
    stop = follow(heard);
}

function forget() {
    if (stop) stop();
    stop = null;
    dialogs.close();
    Object.assign(state, {who: '', role: '', scene: null, history: [], alerts: null, kept: [], day: 0, silent: false, lag: Object.create(null),
                          proxy: undefined, ledger: null, settings: []});
}

async function leave() {
    await logOut();
    forget();
    render();
}

async function boot() {
    try { setTheme(localStorage.getItem('theme') || 'auto'); } catch { /* as above */ }
    dialogs.start(state, render, note);
    const known = await session();
    if (known.ok) enter(known.body);
    else if (known.status !== 401) state.refused = known.body;
    render();
    setInterval(render, 1000);  // ages go on
    setInterval(askSeldom, 60000);
}

boot();
