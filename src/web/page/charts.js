// Small drawings: lag over the last minutes, and the phases of the last change of leader.
import {h} from './dom.js';
import {bytes, seconds} from './words.js';

const kKept = 300;  // samples, one a second
const kEdge = 3;    // so that a line at the border is not cut

// Samples since the page was opened: {name: [[time, bytes]]}.
export function keepLag(lag, status) {
    for (const member of status.members) {
        if (member.kind !== 'data' || member.role === 'leader') continue;
        const list = lag[member.name] || (lag[member.name] = []);
        if (list.length && status.unix_ms - list.at(-1)[0] < 900) continue;
        list.push([status.unix_ms, member.streaming ? member.lag_bytes : null]);
        if (list.length > kKept) list.shift();
    }
}

function niceTop(most) {
    let top = 64 * 1024;
    while (top < most) top *= 2;
    return top;
}

function linesOf(samples, now, top, width, height) {
    const parts = [];
    let part = [];
    for (const [time, value] of samples) {
        if (value === null) {
            if (part.length) parts.push(part);
            part = [];
            continue;
        }
        const x = width - (now - time) / 1000 / kKept * width;
        part.push(`${x.toFixed(1)},${(height - kEdge - value / top * (height - 2 * kEdge)).toFixed(1)}`);
    }
    if (part.length) parts.push(part);
    return parts.map((points) => points.join(' '));
}

export function lagChart(lag, status) {
    const width = 600, height = 120;
    const shown = status.members.filter((member) => member.kind === 'data' && member.role !== 'leader' && lag[member.name]);
    const most = Math.max(0, ...shown.flatMap((member) => lag[member.name].map((sample) => sample[1] || 0)));
    const top = niceTop(most);
    return h('section', {class: 'panel', 'aria-label': 'Lag'},
        h('h2', null, 'Lag', h('small', null, 'WAL that a standby does not have on disk, last 5 minutes')),
        shown.length === 0 ? h('p', {class: 'empty'}, 'There is no standby.') : [
            h('div', {class: 'chart'},
                h('span', {class: 'top'}, bytes(top)), h('span', {class: 'bottom'}, '0'),
                h('svg', {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img',
                          'aria-label': `highest: ${bytes(most)}`},
                    [0, 0.5, 1].map((part) => h('line', {class: 'rule', x1: 0, x2: width, y1: kEdge + (height - 2 * kEdge) * part, y2: kEdge + (height - 2 * kEdge) * part})),
                    shown.map((member, number) => linesOf(lag[member.name], status.unix_ms, top, width, height).map((points) =>
                        h('polyline', {class: `series series${number % 5}`, points}))))),
            h('ul', {class: 'legend'}, shown.map((member, number) => h('li', {class: `of${number % 5}`}, member.name,
                h('b', null, member.lag_bytes === null ? '?' : member.lag_bytes === 0 ? 'caught up' : bytes(member.lag_bytes)))))]);
}

const kPhases = [['detect', 'the old leader was missed'], ['fence', 'every node stopped following it'],
                 ['decide', 'positions were compared'], ['promote', 'the new one left recovery'], ['open', 'it took writes']];

export function phases(scene) {
    const known = kPhases.filter(([name]) => scene.failover_seconds[name] !== undefined);
    const total = known.reduce((sum, [name]) => sum + scene.failover_seconds[name], 0);
    return h('section', {class: 'panel', 'aria-label': 'Last change of leader'},
        h('h2', null, 'Last change of leader', h('small', null, total > 0 ? `${seconds(total)} in all, as ${scene.status.told_by} saw it`
                                                                          : `as ${scene.status.told_by} saw it`)),
        total <= 0 ? h('p', {class: 'empty'}, `None since the agent of ${scene.status.told_by} was started.`) : [
            h('div', {class: 'phasebar', 'aria-hidden': 'true'}, known.map(([name]) =>
                h('span', {class: 'phase-' + name, css: {'flex-grow': String(Math.max(0.004, scene.failover_seconds[name] / total))}}))),
            h('dl', {class: 'phases'}, known.map(([name, about]) => h('div', {class: 'of-' + name, title: about},
                h('dt', null, name), h('dd', null, seconds(scene.failover_seconds[name])))))]);
}
