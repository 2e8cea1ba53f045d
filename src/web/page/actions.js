// What an operator can do, each in a dialog that first says what will happen.
import {h, patch} from './dom.js';
import {ask} from './wire.js';
import {seconds} from './words.js';

const box = document.getElementById('dialog');
let state, render, note;
let open = null;  // the dialog that is shown: its kind, and what was typed into it
let asking = 0;   // number of the last dry run, so that a late answer to an earlier one is dropped

export function start(given, draw, tell) {
    state = given;
    render = draw;
    note = tell;
    // Escape closes it as well.
    box.addEventListener('close', () => { open = null; patch(box, []); });
    setInterval(() => { if (open && open.kind === 'switchover' && !open.asked) foretell(); }, 2000);
}

function show(dialog) {
    open = dialog;
    draw();
    if (!box.open) box.showModal();
}

export function close() { if (box.open) box.close(); }

function problem(body) { return h('p', {class: 'problem', role: 'alert'}, body.error, body.mend ? h('small', null, body.mend) : null); }

function frame(title, inner, buttons) {
    return [h('form', {method: 'dialog', onsubmit: (event) => event.preventDefault()},
        h('h2', null, title), inner,
        h('div', {class: 'buttons'}, h('button', {type: 'button', class: 'quiet', onclick: close}, open.asked || open.done ? 'Close' : 'Cancel'), buttons))];
}

export function draw() {
    if (open) patch(box, kDialogs[open.kind]());
}

// ---- switchover ----

function wanted() {
    const at = open.at ? new Date(open.at).getTime() : 0;
    return {to: open.to, at_unix_ms: at || 0};
}

async function foretell() {
    const number = ++asking, {to, at_unix_ms} = wanted();
    const answer = await ask('GET', `/switchover?to=${encodeURIComponent(to)}&at=${at_unix_ms}`);
    if (!open || open.kind !== 'switchover' || number !== asking) return;
    const before = open.outlook ? JSON.stringify(open.outlook.cautions) : '';
    open.outlook = answer.ok ? answer.body : {possible: false, refusal: answer.body.error, mend: answer.body.mend, steps: [], cautions: []};
    if (JSON.stringify(open.outlook.cautions) !== before) open.read = false;  // something new to read
    draw();
}

export function switchover(to) {
    show({kind: 'switchover', to: to || '', at: '', outlook: null, read: false, asked: null, error: null});
    foretell();
}

function choose(change) {
    Object.assign(open, change, {outlook: null, error: null});
    draw();
    foretell();
}

async function begin() {
    const {status} = state.scene;
    const asked = {at: Date.now(), epoch: status.epoch, from: status.leader, event: state.history.length ? state.history.at(-1).number : 0};
    open.error = null;
    open.asked = asked;
    draw();
    const answer = await ask('POST', '/switchover', wanted());
    if (!open || open.asked !== asked) return;
    if (!answer.ok) Object.assign(open, {asked: null, error: answer.body});
    else if (wanted().at_unix_ms) { note(answer.body.text); close(); }
    draw();
}

function outlookOf(outlook) {
    if (!outlook) return h('p', {class: 'wait'}, 'Looking…');
    if (!outlook.possible) return problem({error: `It would be refused: ${outlook.refusal}.`, mend: outlook.mend});
    return [h('p', {class: 'plan'}, h('b', null, outlook.from), h('span', {class: 'arrow', 'aria-label': 'hands over to'}, '→'), h('b', null, outlook.to)),
        h('ol', {class: 'steps'}, outlook.steps.map((step) => h('li', null, step))),
        outlook.cautions.length === 0 ? h('p', {class: 'verdict good'}, 'Dry run: nothing speaks against it.') :
            h('div', {class: 'verdict warn'}, h('p', null, 'Dry run: think of this first.'),
                h('ul', {class: 'cautions'}, outlook.cautions.map((caution) => h('li', null, caution))),
                h('label', {class: 'tick'}, h('input', {type: 'checkbox', name: 'read', checked: open.read,
                    onchange: (event) => { open.read = event.target.checked; draw(); }}), 'I have read this, and want it all the same'))];
}

function progress() {
    const {status} = state.scene, asked = open.asked;
    const moved = status.epoch > asked.epoch && status.phase === 'stable' && status.leader_alive;
    const called = state.history.find((event) => event.number > asked.event && event.kind === 'handover');
    if (!open.done && moved) open.done = {text: `${status.leader} leads now, ${seconds((Date.now() - asked.at) / 1000)} after it was asked for.`, good: true};
    if (!open.done && called && !status.handover && status.epoch === asked.epoch) open.done = {text: called.text + '.', good: false};
    const stages = [['asked for', true], [`${asked.from} stops in order`, status.epoch > asked.epoch || Boolean(status.handover)],
                    [`epoch ${asked.epoch + 1} elects`, status.epoch > asked.epoch], ['the new leader takes writes', moved || Boolean(open.done && open.done.good)]];
    return [h('ol', {class: 'stages'}, stages.map(([text, reached]) => h('li', {class: reached ? 'reached' : ''}, text))),
        open.done ? h('p', {class: 'verdict ' + (open.done.good ? 'good' : 'warn'), role: 'status'}, open.done.text)
                  : h('p', {class: 'wait', role: 'status'}, status.verdict)];
}

function switchoverDialog() {
    if (open.asked) return frame('Switchover', progress(), null);
    const choices = state.scene.status.members.filter((member) => member.kind === 'data' && member.role !== 'leader');
    const ready = open.outlook && open.outlook.possible && (open.outlook.cautions.length === 0 || open.read);
    return frame('Switch over', [
        h('fieldset', null, h('legend', null, 'Who shall lead?'), h('div', {class: 'choices'}, [['', 'the best standby'], ...choices.map((member) => [member.name, member.name])]
            .map(([value, text]) => h('label', {key: 'to ' + value, class: 'choice'}, h('input', {type: 'radio', name: 'to', value, checked: open.to === value,
                onchange: () => choose({to: value})}), h('span', null, text))))),
        h('label', {class: 'field'}, h('span', null, 'When (empty: now; the time of this browser)'),
            h('input', {type: 'datetime-local', name: 'at', value: open.at, onchange: (event) => choose({at: event.target.value})})),
        h('div', {class: 'outlook', 'aria-live': 'polite'}, outlookOf(open.outlook)),
        open.error ? problem(open.error) : null],
    h('button', {type: 'button', class: 'act', disabled: !ready, onclick: begin},
        open.outlook && open.outlook.to ? `Switch over to ${open.outlook.to}` : 'Switch over'));
}

// ---- what one question decides ----

async function carryOut(path, body, words) {
    open.busy = true;
    draw();
    const dialog = open, answer = await ask('POST', path, body);
    if (answer.ok) note(words || answer.body.text);
    if (open !== dialog) return;
    dialog.busy = false;
    dialog.error = answer.ok ? null : answer.body;
    if (answer.ok) close();
    else draw();
}

export function pause() { show({kind: 'pause'}); }

function pauseDialog() {
    const {paused} = state.scene.status;
    return frame(paused ? 'Resume' : 'Pause', [
        paused ? h('p', null, 'Failures are handled again: elections, restarts, and what waited meanwhile happens at once.')
               : h('ul', {class: 'plain'}, h('li', null, 'If the primary fails, nobody takes over until you resume.'),
                   h('li', null, 'A server that dies is not started again.'), h('li', null, 'Fences stay on: there are never two primaries.'),
                   h('li', null, 'After 30 minutes the alert “paused” reminds you.')),
        open.error ? problem(open.error) : null],
    h('button', {type: 'button', class: 'act', disabled: open.busy, onclick: () => carryOut(paused ? '/resume' : '/pause', {})}, paused ? 'Resume' : 'Pause the cluster'));
}

export function cancel() { show({kind: 'cancel'}); }

function cancelDialog() {
    return frame('Take the switchover back', [h('p', null, `It is planned ${state.scene.status.handover}.`), open.error ? problem(open.error) : null],
        h('button', {type: 'button', class: 'act', disabled: open.busy, onclick: () => carryOut('/switchover/cancel', {})}, 'Take it back'));
}

export function restart(name) { show({kind: 'restart', name}); }

function restartDialog() {
    const {status} = state.scene;
    const others = status.members.filter((one) => one.kind === 'data' && one.role !== 'leader' && one.streaming && one.name !== open.name);
    const waited = status.sync_names.includes(open.name);
    return frame(`Restart ${open.name}`, [
        h('ul', {class: 'plain'}, h('li', null, `PostgreSQL of ${open.name} stops in order and starts again; its connections end.`),
            h('li', null, others.length ? `Reads go to ${others.map((one) => one.name).join(' and ')} meanwhile.` : 'Reads go to the primary meanwhile.'),
            waited && others.length < status.sync.quorum ? h('li', null, h('b', null, 'Commits wait until it is back'), ': no other standby can confirm them.') : null),
        open.error ? problem(open.error) : null],
    h('button', {type: 'button', class: 'act', disabled: open.busy, onclick: () => carryOut('/restart', {member: open.name, set: {}}, `${open.name} is restarted`)}, `Restart ${open.name}`));
}

// ---- alerts ----

export async function acknowledge(alert) {
    const answer = await ask('POST', '/alerts', {wish: 'acknowledge', alert});
    note(answer.ok ? `${alert}: no reminders any more` : `${answer.body.error} (${answer.body.mend})`, !answer.ok);
    render();
}

export async function endSilence(alert) {
    const answer = await ask('POST', '/alerts', {wish: 'end_silence', alert});
    note(answer.ok ? `${alert} is told again` : `${answer.body.error} (${answer.body.mend})`, !answer.ok);
    render();
}

export function silence(alert, rule) { show({kind: 'silence', alert, rule, what: alert, hours: 2, why: ''}); }

function silenceDialog() {
    const choice = (value, text) => h('label', {key: value, class: 'choice'}, h('input', {type: 'radio', name: 'what', checked: open.what === value,
        onchange: () => { open.what = value; draw(); }}), h('span', null, text));
    return frame('Silence', [
        h('p', null, 'Nobody is told while it is silenced. Its end is told if its beginning was.'),
        open.rule === open.alert ? h('p', null, h('code', null, open.alert)) :
            h('fieldset', null, h('legend', null, 'What?'), h('div', {class: 'choices'}, choice(open.alert, open.alert), choice(open.rule, `every ${open.rule}`))),
        h('fieldset', null, h('legend', null, 'For how long?'), h('div', {class: 'choices'}, [[1, '1 hour'], [2, '2 hours'], [8, '8 hours'], [24, 'a day'], [168, 'a week']].map(([hours, text]) =>
            h('label', {key: hours, class: 'choice'}, h('input', {type: 'radio', name: 'hours', checked: open.hours === hours,
                onchange: () => { open.hours = hours; draw(); }}), h('span', null, text))))),
        h('label', {class: 'field'}, h('span', null, 'Why (everybody sees it)'),
            h('input', {type: 'text', name: 'why', maxlength: 200, value: open.why, oninput: (event) => { open.why = event.target.value; }})),
        open.error ? problem(open.error) : null],
    h('button', {type: 'submit', class: 'act', disabled: open.busy, onclick: () =>
        carryOut('/alerts', {wish: 'silence', alert: open.what, for_s: open.hours * 3600, why: open.why.trim()}, `${open.what} is silenced`)}, 'Silence'));
}

// ---- backups ----

const kJobs = [['full', 'full backup', 'A healthy standby sends its files; the primary if there is none.'],
               ['incremental', 'incremental backup', 'Only the blocks that have changed since the newest backup are stored.'],
               ['dump', 'dump', 'pg_dump of the databases that the schedule names.'],
               ['prove', 'restore test', 'The newest backup is restored beside the server, started, checked and thrown away.'],
               ['expire', 'expiry', 'What the retention no longer keeps is removed for good.'],
               ['copy', 'copy', 'What the repository has goes into the others that node.toml names.']];

export function runJob() { show({kind: 'runJob', job: 'full'}); }

function runJobDialog() {
    const chosen = kJobs.find(([kind]) => kind === open.job);
    const running = state.scene.status.backup.jobs.find((one) => one.running_on);
    return frame('Run now', [
        h('fieldset', null, h('legend', null, 'What?'), h('div', {class: 'choices'}, kJobs.map(([kind, text]) => h('label', {key: kind, class: 'choice'},
            h('input', {type: 'radio', name: 'job', value: kind, checked: open.job === kind, onchange: () => { open.job = kind; draw(); }}), h('span', null, text))))),
        h('p', null, chosen[2]), running ? h('p', {class: 'note'}, `Now ${running.kind} runs on ${running.running_on}: it begins after that.`) : null,
        open.error ? problem(open.error) : null],
    h('button', {type: 'button', class: 'act', disabled: open.busy, onclick: () =>
        carryOut('/backup/run', {kind: open.job}, `The ${chosen[1]} is asked for: it begins within seconds`)}, `Run the ${chosen[1]}`));
}

const kDialogs = {switchover: switchoverDialog, pause: pauseDialog, cancel: cancelDialog, silence: silenceDialog, runJob: runJobDialog, restart: restartDialog};
