// What happened, and why it is as it is.
import {h} from './dom.js';
import {clock, day, millis, utc} from './words.js';

const kGroups = {leader: 'lead', revoke: 'lead', appoint: 'lead', promote: 'lead', handover: 'lead', switchover: 'lead',
                 failover: 'lead', phases: 'lead', loss: 'loss', sync: 'sync', voter: 'sync', mode: 'sync'};
const kFilters = [['all', 'All'], ['lead', 'Leadership'], ['sync', 'Sync set'], ['rest', 'Operations']];

function groupOf(event) { return kGroups[event.kind] || 'rest'; }

function shown(event, filter) {
    const group = groupOf(event);
    return filter === 'all' || group === filter || (filter === 'lead' && group === 'loss');
}

export function events(state, actions) {
    const names = Object.fromEntries(state.scene.status.members.map((member) => [member.id, member.name]));
    const list = [];
    let last = '';
    const wanted = state.history.filter((event) => shown(event, state.filter)).slice(-state.shown).reverse();
    for (const event of wanted) {
        const date = day(event.unix_ms);
        if (date !== last) list.push(h('li', {class: 'date', key: 'day ' + date}, date));
        last = date;
        list.push(h('li', {class: 'event group-' + groupOf(event), key: event.number},
            h('time', {datetime: utc(event.unix_ms), title: utc(event.unix_ms)}, clock(event.unix_ms), h('small', null, millis(event.unix_ms))),
            h('span', {class: 'epoch', title: 'epoch'}, event.epoch),
            h('span', {class: 'kind'}, event.kind),
            h('span', {class: 'text'}, event.text),
            h('span', {class: 'by', title: 'the node that wrote it down'}, names[event.node] || event.node)));
    }
    const more = state.history.filter((event) => shown(event, state.filter)).length > wanted.length;
    return h('section', {class: 'panel events', 'aria-label': 'Events'},
        h('h2', null, 'What happened',
            h('span', {class: 'filters', role: 'group', 'aria-label': 'Which'}, kFilters.map(([name, text]) =>
                h('button', {type: 'button', class: 'chip', 'aria-pressed': String(state.filter === name), onclick: () => actions.filter(name)}, text)))),
        list.length ? h('ol', {class: 'history'}, list) : h('p', {class: 'empty'}, 'Nothing of this kind.'),
        more ? h('button', {type: 'button', class: 'quiet', onclick: actions.more}, 'Show earlier events') : null);
}

export function why(explanation) {
    return h('section', {class: 'panel why', 'aria-label': 'Why'},
        h('h2', null, 'Why it is so'),
        explanation.error ? h('p', {class: 'empty'}, explanation.error) : [
            h('p', {class: 'sentence'}, explanation.sentence),
            explanation.evidence.length ? h('details', null, h('summary', null, 'What that rests on'),
                h('ul', {class: 'evidence'}, explanation.evidence.map((line) => h('li', null, line)))) : null]);
}
