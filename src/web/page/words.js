// Numbers and times as people read them.

export function bytes(count) {
    if (count === null || count === undefined) return '';
    const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
    let at = 0, value = Number(count);
    while (value >= 1024 && at < units.length - 1) { value /= 1024; ++at; }
    return (at === 0 ? value : value.toFixed(value < 10 ? 1 : 0)) + ' ' + units[at];
}

export function seconds(value) {
    if (value === null || value === undefined) return '';
    if (value < 0.0005) return '0 ms';
    if (value < 0.01) return (value * 1000).toFixed(1) + ' ms';
    if (value < 1) return Math.round(value * 1000) + ' ms';
    if (value < 10) return value.toFixed(1) + ' s';
    return span(value);
}

export function span(value) {
    const s = Math.max(0, Math.round(value));
    if (s < 100) return s + ' s';
    if (s < 6000) return Math.round(s / 60) + ' min';
    if (s < 48 * 3600) return Math.round(s / 3600) + ' h';
    return Math.round(s / 86400) + ' days';
}

// Of time, never rounded up: 99.9953 %.
export function share(value) {
    if (value >= 1) return '100 %';
    const digits = Math.min(6, Math.max(2, Math.ceil(-Math.log10(1 - value)) - 1));
    const scale = 10 ** digits;
    return (Math.floor(value * 100 * scale + 1e-6) / scale).toFixed(digits) + ' %';
}

const pad = (number, width = 2) => String(number).padStart(width, '0');

// Of this browser's time zone; the exact time in UTC, as logs have it, is the tooltip.
export function clock(unixMs) {
    const t = new Date(unixMs);
    return `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}`;
}
export function millis(unixMs) { return '.' + pad(new Date(unixMs).getMilliseconds(), 3); }
export function day(unixMs) {
    return new Date(unixMs).toLocaleDateString('en-GB', {weekday: 'short', day: 'numeric', month: 'short', year: 'numeric'});
}
export function utc(unixMs) { return new Date(unixMs).toISOString().replace('T', ' '); }

export function count(number, one, many) { return `${number} ${number === 1 ? one : many || one + 's'}`; }
