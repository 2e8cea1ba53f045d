// What can be restored, which day has which backup, and what the schedules do.
import {h} from './dom.js';
import {bytes, clock, count, day, seconds, span, utc} from './words.js';

const kDays = 35;
const kNames = {full: 'full backup', incremental: 'incremental backup', dump: 'dump', expire: 'expiry', prove: 'restore test', copy: 'copy of the repository'};
const kPlural = {full: 'full backups', incremental: 'incremental backups', dump: 'dumps', expire: 'expiries', prove: 'restore tests', copy: 'copies'};
const kMarks = ['full', 'incremental', 'dump', 'prove', 'failed'];

function midnight(time) {
    const date = new Date(time);
    return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}
const keyOf = (time) => midnight(time).getTime();

// By the midnight of this browser's time zone: [{kind, text, time, bad}].
function byDay(kept, jobs) {
    const days = new Map();
    const put = (time, entry) => {
        const key = keyOf(time);
        if (!days.has(key)) days.set(key, []);
        days.get(key).push({time, ...entry});
    };
    for (const one of kept) {
        const size = `${bytes(one.bytes)}, ${bytes(one.stored_bytes)} stored`;
        put(one.begun_unix_ms, {kind: one.kind, bad: !one.restorable, label: one.label,
            text: one.kind === 'dump' ? `${one.database}: ${size}` : one.restorable ? size : `${size}; it cannot be restored: something that it needs is missing`});
    }
    for (const job of jobs) {
        if (job.kind === 'prove' && job.good) put(job.good.ended_unix_ms, {kind: 'prove', text: job.good.text});
        if (job.bad) put(job.bad.ended_unix_ms, {kind: 'failed', bad: true, text: job.bad.text});
    }
    return days;
}

// Whole weeks from a Monday on, the last of them with today.
function weeks(now) {
    const today = midnight(now), first = new Date(today);
    first.setDate(first.getDate() - kDays + 7 - ((today.getDay() + 6) % 7));
    return Array.from({length: kDays}, (unused, number) => new Date(first.getFullYear(), first.getMonth(), first.getDate() + number));
}

function cell(date, entries, now, state, actions) {
    const time = date.getTime(), future = time > now, chosen = state.day === time;
    const kinds = kMarks.filter((kind) => entries.some((entry) => entry.kind === kind));
    const words = kinds.length ? kinds.map((kind) => kind === 'failed' ? 'a failure' : count(entries.filter((entry) => entry.kind === kind).length, kNames[kind], kPlural[kind])).join(', ') : 'nothing';
    return h('button', {key: time, type: 'button', class: `day ${future ? 'future' : ''} ${time === keyOf(now) ? 'today' : ''}`, disabled: future, 'data-day': `${date.getMonth() + 1}-${date.getDate()}`,
            'aria-pressed': String(chosen), 'aria-label': `${day(time)}: ${words}`, title: words, onclick: () => actions.choose(chosen ? 0 : time)},
        h('span', {class: 'date'}, date.getDate() === 1 ? date.toLocaleDateString('en-GB', {day: 'numeric', month: 'short'}) : date.getDate()),
        h('span', {class: 'marks'}, kinds.map((kind) => h('i', {class: `mark mark-${kind} ${entries.some((entry) => entry.kind === kind && entry.bad) ? 'bad' : ''}`}))));
}

function ofDay(state, days) {
    if (!state.day) return null;
    const entries = (days.get(state.day) || []).sort((a, b) => a.time - b.time);
    return h('div', {class: 'ofday', 'aria-live': 'polite'}, h('h3', null, day(state.day)),
        entries.length === 0 ? h('p', {class: 'empty'}, 'Nothing is kept of this day.') :
            h('ul', null, entries.map((entry) => h('li', {class: entry.bad ? 'bad' : ''}, h('time', {title: utc(entry.time)}, clock(entry.time)),
                h('b', null, entry.kind === 'failed' ? 'failed' : kNames[entry.kind] || entry.kind), h('span', null, entry.text), entry.label ? h('code', null, entry.label) : null))));
}

function range(status, kept) {
    const {archive} = status, first = kept.find((one) => one.reaches_end);
    if (archive.trouble) return h('p', {class: 'note bad'}, `The archive is in trouble: ${archive.trouble}`);
    if (archive.unix_ms === 0) return h('p', {class: 'note'}, 'The archiver has not looked at the repository yet.');
    if (archive.hole) return h('p', {class: 'note bad'}, archive.hole);
    if (!first) return h('p', {class: 'note bad'}, 'Nothing can be restored yet: there is no backup with its WAL.');
    return h('p', {class: 'reach'}, 'Every moment since ', h('b', {title: utc(first.ended_unix_ms)}, `${day(first.ended_unix_ms)}, ${clock(first.ended_unix_ms)}`),
        ' can be restored', status.lag_bytes === null ? '.' : status.lag_bytes === 0 ? ', up to now.' : `, but for the last ${bytes(status.lag_bytes)} of WAL.`);
}

function job(one, now, names) {
    const end = one.failures ? one.bad : one.good;
    const took = one.kind === 'prove' && one.good && one.good.figures.seconds ? `, back in ${seconds(one.good.figures.seconds)}` : '';
    return h('tr', {key: one.kind, class: one.failures ? 'bad' : ''}, h('th', {scope: 'row'}, kNames[one.kind] || one.kind),
        h('td', null, h('code', null, one.schedule)),
        h('td', null, one.running_on ? `runs on ${one.running_on}` : one.overdue_seconds > 60 ? `overdue for ${span(one.overdue_seconds)}` :
            one.next_unix_ms ? h('span', {title: utc(one.next_unix_ms)}, one.next_unix_ms <= now ? 'now' : `in ${span((one.next_unix_ms - now) / 1000)}`) : '–'),
        h('td', {title: end ? `${end.text} (${names[end.node] || end.node})` : ''}, one.failures ? `failed ${count(one.failures, 'time')}: ${end.text}` :
            end ? `${span((now - end.ended_unix_ms) / 1000)} ago${took}` : 'never yet'));
}

export function backups(state, actions) {
    const {status} = state.scene, known = status.backup;
    if (!known) return h('section', {class: 'panel backups', 'aria-label': 'Backups'}, h('h2', null, 'Backups'),
        h('p', {class: 'empty'}, 'No repository is configured on this node: nothing is archived or backed up.'));
    const now = status.unix_ms, days = byDay(state.kept, known.jobs);
    const names = Object.fromEntries(status.members.map((member) => [member.id, member.name]));
    return h('section', {class: 'panel backups', 'aria-label': 'Backups'},
        h('h2', null, 'Backups', h('small', null, known.repository),
            actions.may ? h('button', {type: 'button', class: 'chip', onclick: actions.runJob}, 'Run now…') : null),
        range(known, state.kept), known.trouble ? h('p', {class: 'note bad'}, `No schedule is kept: ${known.trouble}`) : null,
        h('div', {class: 'calendar', role: 'group', 'aria-label': 'Which day has which backup'},
            ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].map((name) => h('span', {class: 'weekday', 'aria-hidden': 'true'}, name)),
            weeks(now).map((date) => cell(date, days.get(date.getTime()) || [], now, state, actions))),
        h('ul', {class: 'legend marks-legend'}, kMarks.filter((kind) => [...days.values()].flat().some((entry) => entry.kind === kind))
            .map((kind) => h('li', null, h('i', {class: 'mark mark-' + kind}), kind === 'failed' ? 'a failure' : kNames[kind]))),
        ofDay(state, days),
        h('div', {class: 'wide'}, h('table', {class: 'jobs'}, h('thead', null, h('tr', null, ['What', 'Schedule', 'Next', 'Last'].map((name) => h('th', {scope: 'col'}, name)))),
            h('tbody', null, known.jobs.map((one) => job(one, now, names))))));
}
