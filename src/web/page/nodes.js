// The cluster as a tree: who leads, who streams from whom, how far behind.
import {h} from './dom.js';
import {bytes, count, seconds, span} from './words.js';

const kRoles = {'leader': 'Leader', 'taking over': 'Taking over', 'sync standby': 'Sync standby', 'standby': 'Standby',
                'witness': 'Witness', 'spare': 'Spare', 'none': 'No role'};
const kStates = {fresh: 'has just been started', standby: 'is a standby', primary: 'is the primary', fenced: 'is fenced',
                 promoting: 'is being promoted', stepping_down: 'hands over', restarting: 'restarts', witness: 'votes',
                 expired: 'has lost its lease', maintenance: 'is paused'};

export function roleName(role) { return kRoles[role] || role; }

// A page of another node; only what looks like host:port becomes a link.
export function pageOf(member) {
    return /^[A-Za-z0-9._\-:[\]]+$/.test(member.api || '') ? `https://${member.api}/dashboard/` : '';
}

function tone(member) {
    if (!member.known || member.heard_ms_ago > 3000 || member.problem) return member.healthy ? 'good' : 'bad';
    return member.healthy ? 'good' : 'busy';
}

function sentence(member, status) {
    if (member.problem) return member.problem;
    if (member.errand) return `${member.errand} asked for`;
    if (member.role === 'leader' && member.state === 'primary') return status.leader_alive ? 'takes writes' : 'does not answer as the primary';
    if (member.streaming && member.upstream) return `streams from ${member.upstream}`;
    if (member.streaming) return 'streams';
    return kStates[member.state] || String(member.state).replaceAll('_', ' ');
}

function lagText(member) {
    if (member.lag_bytes === null) return 'not known';
    if (member.lag_bytes === 0 && member.lag_seconds === null) return 'caught up';
    const late = member.lag_seconds === null ? '' : `, ${seconds(member.lag_seconds)} late`;
    return (member.lag_bytes === 0 ? 'has all' : bytes(member.lag_bytes)) + late;
}

function fact(name, value, title) {
    return h('div', {class: 'fact', title}, h('dt', null, name), h('dd', null, value));
}

// network | flush | apply, each as wide as its share.
function delayBar(delay) {
    if (!delay || delay.network === null || delay.flush === null || delay.apply === null) return null;
    const parts = [['network', delay.network], ['flush', delay.flush], ['apply', delay.apply]];
    const total = parts.reduce((sum, part) => sum + part[1], 0);
    if (total <= 0) return null;
    const said = parts.map(([name, value]) => `${name} ${seconds(value)}`).join(', ');
    return h('div', {class: 'delay', title: `replication delay: ${said}`},
        h('div', {class: 'delaybar', 'aria-hidden': 'true'}, parts.map(([name, value]) =>
            h('span', {class: 'part-' + name, css: {'flex-grow': String(value / total)}}))),
        h('small', null, parts.map(([name, value]) => h('span', {class: 'of-' + name}, `${name} ${seconds(value)}`))));
}

function tagsOf(member) {
    const tags = [];
    if (member.in_sync_set && member.role === 'sync standby') tags.push(['sync set', 'commits wait for it']);
    if (member.voter) tags.push(['voter', 'has a vote in elections']);
    if (member.leaving) tags.push(['leaving', 'is on its way out of the cluster']);
    for (const [name, value] of Object.entries(member.tags || {})) {
        if (value === true) tags.push([name, 'tag']);
        else if (value && value !== true && name !== 'clonefrom') tags.push([`${name} ${value}`, 'tag']);
    }
    return h('ul', {class: 'tags'}, tags.map(([text, title]) => h('li', {title}, text)));
}

function vitalsOf(state) {
    const vitals = state.scene.vitals;
    if (!vitals) return null;
    const used = vitals.disk_total_bytes ? Math.round(100 * (1 - vitals.disk_free_bytes / vitals.disk_total_bytes)) : null;
    return [fact('connections', `${vitals.connections} of ${vitals.connections_max}`),
            used === null ? null : fact('disk', `${used} % full`, `${bytes(vitals.disk_free_bytes)} free`),
            vitals.longest_transaction_seconds > 5 ? fact('oldest transaction', span(vitals.longest_transaction_seconds),
                                                          vitals.longest_transaction) : null];
}

function card(member, state, actions) {
    const {status, delays} = state.scene;
    const leads = member.role === 'leader' || member.role === 'taking over';
    const mine = member.name === status.told_by;
    const link = pageOf(member);
    const may = actions.may && member.streaming && !leads && !member.tags.nofailover;
    return h('article', {key: member.id, class: `node ${tone(member)} ${leads ? 'leads' : ''} ${member.streaming ? 'streams' : ''}`,
                         'data-node': member.name, 'data-role': member.role},
        h('header', null,
            h('span', {class: 'dot', 'aria-hidden': 'true'}),
            h('h3', null, member.name),
            h('span', {class: 'role'}, roleName(member.role))),
        h('p', {class: 'says', title: member.problem}, sentence(member, status)),
        h('dl', {class: 'facts'},
            member.kind === 'data' ? fact('timeline', member.timeline || '?') : null,
            leads && status.lease_ms !== null && mine ? fact('lease', seconds(status.lease_ms / 1000), 'what is left of it; renewed all the time') : null,
            member.kind === 'data' && !leads ? fact('lag', lagText(member)) : null,
            member.kind === 'data' ? fact('WAL', member.flush, 'end of its WAL on disk') : null,
            mine ? vitalsOf(state) : fact('heard', member.heard_ms_ago < 0 ? 'never' : member.heard_ms_ago < 1000 ? 'just now' : span(member.heard_ms_ago / 1000) + ' ago')),
        leads ? null : delayBar(delays[member.name]),
        tagsOf(member),
        h('footer', null,
            mine ? h('span', {class: 'here'}, 'this node')
                 : link ? h('a', {href: link, rel: 'noreferrer'}, 'its page') : null,
            actions.may && !leads && member.kind === 'data' && member.streaming ?
                h('button', {type: 'button', class: 'quiet', onclick: () => actions.restart(member.name)}, 'Restart…') : null,
            may ? h('button', {type: 'button', class: 'quiet', onclick: () => actions.switchover(member.name)}, 'Make leader…') : null));
}

export function topology(state, actions) {
    const {status} = state.scene;
    const above = status.members.filter((member) => member.role === 'leader' || member.role === 'taking over');
    const below = status.members.filter((member) => !above.includes(member));
    const nobody = h('div', {class: 'node vacant', key: 'vacant', role: 'status'},
        h('h3', null, status.phase === 'revoking' ? `Electing for epoch ${status.epoch}` : 'No leader'),
        h('p', {class: 'says'}, status.phase === 'revoking' ? 'the nodes are fenced and show their positions' : 'nobody takes writes'));
    return h('section', {class: 'panel topology', 'aria-label': 'Nodes'},
        h('h2', null, 'Nodes', h('small', null, count(status.members.length, 'member') +
            `, ${status.voters_alive} of ${status.voters} voters answer`)),
        h('div', {class: 'tree'},
            h('div', {class: 'above'}, above.length ? above.map((member) => card(member, state, actions)) : nobody),
            below.length ? h('div', {class: 'below'}, below.map((member) =>
                h('div', {key: member.id, class: 'branch ' + (member.streaming ? 'streams' : '')}, card(member, state, actions)))) : null));
}
