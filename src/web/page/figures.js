// What the proxy of this node does now, and how available the cluster has been.
import {h} from './dom.js';
import {clock, count, day, seconds, share, span, utc} from './words.js';

const kRateOver = 10000;  // ms: rates and percentiles are of about the last ten seconds
const kKept = 60;         // samples, one every two seconds
const kGoal = 0.9999;     // whose budget is shown

// Samples since the page was opened. A proxy that was started again counts from nothing.
export function keepProxy(samples, glance) {
    if (!glance) return [];
    const known = samples.filter((one) => one.started_unix_ms === glance.started_unix_ms);
    return [...known, glance].slice(-kKept);
}

function boundText(bound) { return bound < 1 ? `${+(bound * 1000).toPrecision(3)} ms` : `${bound} s`; }

// How long queries take: the bucket's upper end under which so many of them stay.
function percentile(took, bounds, part) {
    const all = took.reduce((sum, one) => sum + one, 0);
    if (all === 0) return '–';
    let below = 0;
    for (let i = 0; i < took.length; ++i) {
        below += took[i];
        if (below >= part * all) return i < bounds.length ? `≤ ${boundText(bounds[i])}` : `> ${boundText(bounds.at(-1))}`;
    }
    return '–';
}

function fact(name, value, title) { return h('div', {class: 'fact', title}, h('dt', null, name), h('dd', null, value)); }

function perSecond(value) { return value < 10 ? value.toFixed(1) : String(Math.round(value)); }

export function proxyPanel(state) {
    if (state.proxy === undefined) return null;  // this node runs none
    const name = state.scene.status.told_by, last = state.proxy.at(-1);
    const title = h('h2', null, 'Proxy', h('small', null, `of ${name}; other nodes show theirs`));
    if (!last) return h('section', {class: 'panel proxy', 'aria-label': 'Proxy'}, title, h('p', {class: 'note bad'}, `The proxy of ${name} tells nothing.`));
    const first = state.proxy.find((one) => last.unix_ms - one.unix_ms <= kRateOver) || last;
    const passed = (last.unix_ms - first.unix_ms) / 1000;
    const took = last.queries_took.map((one, i) => one - first.queries_took[i]);
    const rate = (field) => passed > 0 ? perSecond((last[field] - first[field]) / passed) : '…';
    const used = last.clients_active + last.clients_waiting + last.clients_idle;
    return h('section', {class: 'panel proxy', 'aria-label': 'Proxy'}, title,
        last.holding ? h('p', {class: 'note bad', role: 'status'}, 'New work waits for a primary.') : null,
        last.paused ? h('p', {class: 'note'}, `An operator has paused ${count(last.paused, 'database')}.`) : null,
        h('dl', {class: 'facts'},
            fact('clients', `${used} of ${last.clients_max}`, `${last.clients_active} at a server, ${last.clients_waiting} waiting for one, ${last.clients_idle} idle`),
            fact('in the queue', last.clients_waiting ? `${last.clients_waiting}, the first for ${seconds(last.longest_wait_seconds)}` : 'nobody', 'clients that wait for a server'),
            fact('servers', `${last.servers_active} of ${last.servers_active + last.servers_idle} busy`, `${last.servers_opening} more are being opened, or cleaned`),
            fact('pools', last.pools, 'databases and users that had work'),
            fact('queries', `${rate('queries')} a second`, 'over the last ten seconds'),
            fact('transactions', `${rate('transactions')} a second`, 'over the last ten seconds'),
            [['half', 0.5], ['95 %', 0.95], ['99 %', 0.99]].map(([words, part]) =>
                fact(`${words} of queries`, passed > 0 ? percentile(took, last.bounds_seconds, part) : '…', 'with the query at a server, over the last ten seconds'))));
}

function budget(month, now) {
    const end = new Date(month.from_ms);
    const all = (Date.UTC(end.getUTCFullYear(), end.getUTCMonth() + 1) - Date.UTC(end.getUTCFullYear(), end.getUTCMonth())) / 1000;
    const left = all * (1 - kGoal) - month.down_seconds;
    return left >= 0 ? `${seconds(left)} left` : `overdrawn by ${seconds(-left)}`;
}

function lengthOf(outage) { return seconds((outage.until_ms - outage.from_ms) / 1000); }

export function availability(state) {
    const ledger = state.ledger;
    const title = h('h2', null, 'Availability', h('small', null, ledger ? `writes, since ${day(ledger.days30.from_ms)}` : 'writes'));
    if (!ledger) return h('section', {class: 'panel availability', 'aria-label': 'Availability'}, title, h('p', {class: 'empty'}, 'Not known yet.'));
    const {days30, months, outages} = ledger;
    const latest = outages.slice(-5).reverse();
    return h('section', {class: 'panel availability', 'aria-label': 'Availability'}, title,
        ledger.down_since_ms ? h('p', {class: 'note bad', role: 'status'}, `Nobody can write since ${clock(ledger.down_since_ms)}.`) : null,
        h('dl', {class: 'facts'},
            fact('available', share(days30.availability), `${seconds(days30.down_seconds)} without writes in ${span((days30.until_ms - days30.from_ms) / 1000)}`),
            fact('outages', days30.failovers + days30.switchovers, `${count(days30.failovers, 'failover')}, ${count(days30.switchovers, 'switchover')}`),
            fact('longest', days30.longest_seconds ? seconds(days30.longest_seconds) : '–'),
            fact('between two', days30.mtbf_seconds === null ? '–' : span(days30.mtbf_seconds), 'mean time between failures (MTBF)'),
            fact('until writes', days30.mttr_seconds === null ? '–' : seconds(days30.mttr_seconds), 'mean time to repair (MTTR)'),
            fact(`budget of ${kGoal * 100} %`, budget(months.at(-1)), 'what is left of this month’s')),
        latest.length ? h('ol', {class: 'outages'}, latest.map((one) => h('li', {key: one.epoch, title: one.phases || utc(one.from_ms)},
            h('time', {datetime: utc(one.from_ms)}, `${day(one.from_ms)}, ${clock(one.from_ms)}`), h('span', {class: 'took'}, lengthOf(one)),
            h('span', null, `${one.cause}: ${one.why || 'not known why'}`)))) : h('p', {class: 'empty'}, 'No outage.'));
}

// The cluster's settings: what is not the default first, the rest on demand.
export function configuration(state) {
    const all = state.settings, changed = all.filter((one) => one.value !== one.standard);
    const row = (one) => h('tr', {key: one.name, title: one.doc}, h('th', {scope: 'row'}, h('code', null, one.name)), h('td', null, h('code', null, one.value || '–')),
        h('td', null, one.value === one.standard ? 'default' : one.standard ? ['not ', h('code', null, one.standard)] : 'set'));
    const table = (list) => h('div', {class: 'wide'}, h('table', {class: 'jobs'}, h('tbody', null, list.map(row))));
    return h('section', {class: 'panel settings', 'aria-label': 'Configuration'},
        h('h2', null, 'Configuration', h('small', null, 'of the cluster; ', h('code', null, 'pgkeel config set'), ' changes it')),
        changed.length ? table(changed) : h('p', {class: 'empty'}, all.length ? 'All settings have their defaults.' : 'Not known yet.'),
        all.length > changed.length ? h('details', null, h('summary', null, `${count(all.length - changed.length, 'setting')} with the default`),
            table(all.filter((one) => one.value === one.standard))) : null);
}
