// What is wrong, who is told, what is silenced.
import {h} from './dom.js';
import {clock, span, utc} from './words.js';

const kOrder = {critical: 0, warning: 1, info: 2};

function nameOf(alert) { return alert.subject ? `${alert.rule}:${alert.subject}` : alert.rule; }

function covers(silence, alert) { return ['all', alert.rule, nameOf(alert)].includes(silence.alert); }

function active(listing) {
    return listing.alerts.filter((alert) => alert.phase === 'firing' || alert.phase === 'acknowledged')
        .sort((a, b) => kOrder[a.severity] - kOrder[b.severity] || a.since_ms - b.since_ms);
}

function one(alert, listing, now, actions) {
    const silence = listing.silences.find((each) => covers(each, alert));
    return h('li', {key: nameOf(alert), class: `alert ${alert.severity} ${alert.phase} ${silence ? 'silenced' : ''}`, 'data-alert': nameOf(alert)},
        h('div', {class: 'head'}, h('span', {class: 'severity'}, alert.severity), h('code', null, nameOf(alert)),
            h('time', {title: utc(alert.since_ms)}, 'for ' + span((now - alert.since_ms) / 1000))),
        h('p', null, alert.text),
        alert.phase === 'acknowledged' ? h('p', {class: 'note'}, `${alert.acknowledged_by} takes care`) : null,
        silence ? h('p', {class: 'note'}, `silenced until ${clock(silence.until_ms)} by ${silence.by}${silence.why ? ': ' + silence.why : ''}`) : null,
        actions.may ? h('div', {class: 'buttons'},
            alert.phase === 'firing' ? h('button', {type: 'button', class: 'quiet', onclick: () => actions.acknowledge(nameOf(alert))}, 'Acknowledge') : null,
            silence ? h('button', {type: 'button', class: 'quiet', onclick: () => actions.endSilence(silence.alert)}, 'End the silence')
                    : h('button', {type: 'button', class: 'quiet', onclick: () => actions.silence(nameOf(alert), alert.rule)}, 'Silence…')) : null);
}

function others(listing, actions) {
    const known = active(listing);
    const list = listing.silences.filter((silence) => !known.some((alert) => covers(silence, alert)));
    return list.length ? [h('h3', null, 'Silenced'), h('ul', {class: 'silences'}, list.map((silence) => h('li', {key: silence.alert},
        h('code', null, silence.alert), ` until ${clock(silence.until_ms)} by ${silence.by}${silence.why ? ': ' + silence.why : ''}`,
        actions.may ? h('button', {type: 'button', class: 'quiet', onclick: () => actions.endSilence(silence.alert)}, 'End') : null)))] : null;
}

function told(listing) {
    if (listing.problem) return h('p', {class: 'note bad'}, listing.problem);
    if (listing.channels.length === 0) return h('p', {class: 'note'}, 'Nobody is told: alerts.toml names no channel.');
    return h('p', {class: 'note'}, 'Told by ', listing.speaker || 'nobody now', ': ', listing.channels.map((channel, number) => [number ? ', ' : '',
        h('span', {class: channel.problem ? 'bad' : '', title: channel.problem}, channel.name + (channel.waiting ? ` (${channel.waiting} wait)` : ''))]));
}

export function alerts(state, actions) {
    const listing = state.alerts;
    if (!listing) return h('section', {class: 'panel alerts', 'aria-label': 'Alerts'}, h('h2', null, 'Alerts'),
        h('p', {class: 'empty'}, 'This node keeps no book of alerts.'));
    const known = active(listing);
    const now = listing.now_ms + (Date.now() - listing.arrived);
    const pending = listing.alerts.filter((alert) => alert.phase === 'pending').length;
    return h('section', {class: 'panel alerts', 'aria-label': 'Alerts'},
        h('h2', null, 'Alerts', known.length ? h('span', {class: 'number'}, known.length) : null,
            pending ? h('small', null, `${pending} more if it lasts`) : null),
        known.length ? h('ul', {class: 'list'}, known.map((alert) => one(alert, listing, now, actions)))
                     : h('p', {class: 'empty'}, 'Nothing is wrong.'),
        others(listing, actions), told(listing));
}
