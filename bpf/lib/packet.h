/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet as policy sees it: who, to whom, which ports, and what kind of packet.
 *
 * parse_packet() reads frames, VLAN tags apart. It never guesses: what it cannot read to the end is
 * PACKET_MALFORMED. Header lengths come from the headers (IHL, extension headers), never from the
 * usual case; every offset is checked against the packet and against what the IP header claims.
 */
#ifndef SALLYPORT_LIB_PACKET_H
#define SALLYPORT_LIB_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "config.h"

enum packet_kind {
	PACKET_TRANSPORT,  /* has a flow: ports, or none for protocols without */
	PACKET_ICMP_ERROR, /* about another packet, quoted from offset `l4` + 8 on */
	PACKET_NEIGHBOUR,  /* IPv6 neighbour discovery and its multicast listener reports */
	PACKET_ARP,
	PACKET_FRAGMENT, /* a later fragment: no ports */
	PACKET_OTHER,    /* another ethertype, VLAN tags included */
	PACKET_MALFORMED,
};

struct packet {
	struct sp_address source, destination;
	__be16 source_port, destination_port; /* ICMP echo: both the identifier */
	__u8 protocol;
	__u8 kind;         /* enum packet_kind */
	__u8 opening;      /* TCP SYN, SCTP INIT, ICMP echo request: asks for a new connection */
	__u8 ending;       /* PACKET_FIN, PACKET_RESET */
	__u8 in_fragments; /* a first or a later fragment, under fragment_id */
	__u8 icmp_type;
	__u8 hop_limit;
	__u8 answering; /* TCP SYN and ACK, SCTP INIT ACK: to an opening packet that was let in */
	__u8 covered; /* of a first fragment, to where ports and flags are; of a later one, from where it
			 is: in units of 8 bytes, 255 for more */
	__u32 fragment_id;
	__u32 l4;  /* offset of the transport header */
	__u32 end; /* offset behind the IP payload */
};

#define PACKET_FIN 1
#define PACKET_RESET 2

#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1fff

/* As two words: they are read so. */
static __always_inline void set_v6(struct sp_address *a, const struct in6_addr *v6)
{
	const __u32 *w = v6->in6_u.u6_addr32;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	a->halves[0] = (__u64)w[1] << 32 | w[0];
	a->halves[1] = (__u64)w[3] << 32 | w[2];
#else
	a->halves[0] = (__u64)w[0] << 32 | w[1];
	a->halves[1] = (__u64)w[2] << 32 | w[3];
#endif
}

struct sctp_start {
	__be16 source, dest;
	__be32 tag, checksum;
	__u8 chunk_type, chunk_flags;
	__be16 chunk_length;
};
#define SCTP_INIT 1
#define SCTP_INIT_ACK 2
#define SCTP_ABORT 6
#define SCTP_SHUTDOWN_COMPLETE 14

/* RFC 792 and RFC 4443; <linux/icmp.h> drags in the C library. */
struct icmp_start {
	__u8 type, code;
	__be16 checksum, id, sequence;
};
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129

static __always_inline void set_v4(struct sp_address *a, __be32 v4)
{
	/* One store: it is read as one word soon. */
	a->halves[0] = 0;
	a->halves[1] = bpf_cpu_to_be64(0xffff00000000ULL | bpf_ntohl(v4));
}

/* UDP. */
struct ports {
	__be16 source, destination;
	__be32 rest;
};

static __always_inline int use_ports(struct packet *p, const struct ports *ports)
{
	p->source_port = ports->source;
	p->destination_port = ports->destination;
	return PACKET_TRANSPORT;
}

static __always_inline int use_tcp(struct packet *p, const struct tcphdr *tcp)
{
	if (tcp->doff < 5)
		return PACKET_MALFORMED;
	p->source_port = tcp->source;
	p->destination_port = tcp->dest;
	p->opening = tcp->syn && !tcp->ack;
	p->answering = tcp->syn && tcp->ack;
	p->ending = tcp->rst ? PACKET_RESET : tcp->fin ? PACKET_FIN : 0;
	return PACKET_TRANSPORT;
}

/* The first chunk decides: INIT stands alone in its packet (RFC 9260, 6.10). */
static __always_inline int parse_sctp(struct __sk_buff *ctx, struct packet *p)
{
	struct sctp_start sctp;

	if (p->l4 + sizeof(sctp) > p->end || bpf_skb_load_bytes(ctx, p->l4, &sctp, sizeof(sctp)))
		return PACKET_MALFORMED;
	p->source_port = sctp.source;
	p->destination_port = sctp.dest;
	p->opening = sctp.chunk_type == SCTP_INIT;
	p->answering = sctp.chunk_type == SCTP_INIT_ACK;
	if (sctp.chunk_type == SCTP_ABORT || sctp.chunk_type == SCTP_SHUTDOWN_COMPLETE)
		p->ending = PACKET_RESET;
	return PACKET_TRANSPORT;
}

/*
 * RFC 4861: always with hop limit 255; RFC 2710, 3810: always with hop limit 1. RFC 6980: never in
 * fragments.
 */
static __always_inline int is_neighbour_discovery(const struct packet *p)
{
	__u8 t = p->icmp_type;

	if (p->in_fragments)
		return 0;
	return (p->hop_limit == 255 && t >= 133 && t <= 137) ||
	       (p->hop_limit == 1 && ((t >= 130 && t <= 132) || t == 143));
}

static __always_inline int is_icmp_error(__u8 protocol, __u8 type)
{
	if (protocol == IPPROTO_ICMPV6)
		return type < 128;
	return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
}

static __always_inline int is_echo_request(__u8 protocol, __u8 type)
{
	return type == (protocol == IPPROTO_ICMP ? ICMP_ECHO_REQUEST : ICMP6_ECHO_REQUEST);
}

static __always_inline int is_echo(__u8 protocol, __u8 type)
{
	return is_echo_request(protocol, type) ||
	       type == (protocol == IPPROTO_ICMP ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY);
}

/* The identifier of an echo stands for its ports; other messages have none. */
static __always_inline void use_echo(struct packet *p, const struct icmp_start *icmp)
{
	if (!is_echo(p->protocol, icmp->type))
		return;
	p->source_port = icmp->id;
	p->destination_port = icmp->id;
}

static __always_inline int parse_icmp(struct __sk_buff *ctx, struct packet *p)
{
	struct icmp_start icmp;

	if (p->l4 + sizeof(icmp) > p->end || bpf_skb_load_bytes(ctx, p->l4, &icmp, sizeof(icmp)))
		return PACKET_MALFORMED;
	p->icmp_type = icmp.type;
	if (p->protocol == IPPROTO_ICMPV6 && is_neighbour_discovery(p))
		return PACKET_NEIGHBOUR;
	if (is_icmp_error(p->protocol, icmp.type))
		return PACKET_ICMP_ERROR;
	use_echo(p, &icmp);
	p->opening = is_echo_request(p->protocol, icmp.type);
	return PACKET_TRANSPORT;
}

/* The transport header, wherever it is. */
GLOBAL int parse_transport(struct __sk_buff *ctx, struct packet *p)
{
	struct ports ports;
	struct tcphdr tcp;

	if (!p)
		return PACKET_MALFORMED;
	switch (p->protocol) {
	case IPPROTO_TCP:
		if (p->l4 + sizeof(tcp) > p->end ||
		    bpf_skb_load_bytes(ctx, p->l4, &tcp, sizeof(tcp)))
			return PACKET_MALFORMED;
		return use_tcp(p, &tcp);
	case IPPROTO_UDP:
		if (p->l4 + sizeof(ports) > p->end ||
		    bpf_skb_load_bytes(ctx, p->l4, &ports, sizeof(ports)))
			return PACKET_MALFORMED;
		return use_ports(p, &ports);
	case IPPROTO_SCTP:
		return parse_sctp(ctx, p);
	case IPPROTO_ICMP:
		return is_v4(&p->source) ? parse_icmp(ctx, p) : PACKET_MALFORMED;
	case IPPROTO_ICMPV6:
		return is_v4(&p->source) ? PACKET_MALFORMED : parse_icmp(ctx, p);
	}
	return PACKET_TRANSPORT;
}

static __always_inline __u8 at_most_255(__u32 n)
{
	return n > 255 ? 255 : (__u8)n;
}

/* `start`: of what is in fragments. TCP's flags are in its second 8 bytes. */
static __always_inline void cover_transport(struct packet *p, __u32 start)
{
	__u32 header = p->protocol == IPPROTO_TCP ? 16 : 8;

	p->covered = at_most_255((p->l4 - start + header + 7) / 8);
}

/* RFC 1858: a fragment at offset 8 would overwrite the flags of the TCP header. */
static __always_inline int fragment_kind(struct packet *p, __u32 offset)
{
	p->covered = at_most_255(offset);
	return p->protocol == IPPROTO_TCP && offset == 1 ? PACKET_MALFORMED : PACKET_FRAGMENT;
}

#define IP_OPTION_END 0
#define IP_OPTION_NOP 1
#define IP_OPTION_LOOSE_ROUTE 131
#define IP_OPTION_STRICT_ROUTE 137

/* Among the options from `at` to `end`: it hides the true destination. 1 as well if they are none. */
GLOBAL int has_source_route(struct __sk_buff *ctx, __u32 at, __u32 end)
{
	for (int i = 0; i < 40 && at < end; i++) {
		__u8 option
			[2]; /* and its length; behind the last one there is the transport header */

		if (bpf_skb_load_bytes(ctx, at, option, 1))
			return 1;
		if (option[0] == IP_OPTION_END)
			return 0;
		if (option[0] == IP_OPTION_NOP) {
			at++;
			continue;
		}
		if (option[0] == IP_OPTION_LOOSE_ROUTE || option[0] == IP_OPTION_STRICT_ROUTE)
			return 1;
		if (bpf_skb_load_bytes(ctx, at + 1, option + 1, 1) || option[1] < 2)
			return 1;
		at += option[1];
	}
	return at > end;
}

static __always_inline int parse_v4(struct __sk_buff *ctx, struct packet *p, const __u32 at)
{
	__u32 header, total;
	struct iphdr ip;
	__u16 fragment;

	if (bpf_skb_load_bytes(ctx, at, &ip, sizeof(ip)))
		return PACKET_MALFORMED;
	set_v4(&p->source, ip.saddr);
	set_v4(&p->destination, ip.daddr);
	header = ip.ihl * 4;
	total = bpf_ntohs(ip.tot_len);
	if (total == 0 && ctx->gso_size) /* BIG TCP */
		total = ctx->len - at;
	if (ip.version != 4 || header < sizeof(ip) || total < header || at + total > ctx->len)
		return PACKET_MALFORMED;
	p->protocol = ip.protocol;
	p->hop_limit = ip.ttl;
	p->l4 = at + header;
	p->end = at + total;
	if (header > sizeof(ip) && has_source_route(ctx, at + sizeof(ip), p->l4))
		return PACKET_MALFORMED;
	fragment = bpf_ntohs(ip.frag_off);
	p->fragment_id = ip.id;
	p->in_fragments = !!(fragment & (IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET));
	if (fragment & IP_FRAGMENT_OFFSET)
		return fragment_kind(p, fragment & IP_FRAGMENT_OFFSET);
	cover_transport(p, p->l4);
	return parse_transport(ctx, p);
}

struct ipv6_ext {
	__u8 next, length, type, segments_left; /* the last two: routing header */
};

struct ipv6_fragment {
	__u8 next, reserved;
	__be16 offset;
	__be32 id;
};

/*
 * Walks extension headers from p->l4 on; p->protocol is the next header. Leaves both at the
 * transport header. A routing header with segments left hides the true destination: malformed.
 */
GLOBAL int parse_v6_ext(struct __sk_buff *ctx, struct packet *p)
{
	__u32 fragmented = 0; /* from where on */

	if (!p)
		return PACKET_MALFORMED;
	for (int i = 0; i <= SP_MAX_EXT_HEADERS; i++) { /* the last turn: what follows them */
		struct ipv6_fragment fragment;
		struct ipv6_ext ext;
		__u16 offset;

		switch (p->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_AH:
		case 135: /* mobility, RFC 6275 */
			if (p->l4 + 8 > p->end || bpf_skb_load_bytes(ctx, p->l4, &ext, sizeof(ext)))
				return PACKET_MALFORMED;
			if (p->protocol == IPPROTO_ROUTING && ext.segments_left)
				return PACKET_MALFORMED;
			p->l4 += p->protocol == IPPROTO_AH ? (ext.length + 2) * 4
							   : (ext.length + 1) * 8;
			p->protocol = ext.next;
			break;
		case IPPROTO_FRAGMENT:
			/* A second one would say which packet it is a fragment of anew. */
			if (fragmented || p->l4 + sizeof(fragment) > p->end ||
			    bpf_skb_load_bytes(ctx, p->l4, &fragment, sizeof(fragment)))
				return PACKET_MALFORMED;
			p->l4 += sizeof(fragment);
			fragmented = p->l4;
			p->protocol = fragment.next;
			p->fragment_id = fragment.id;
			offset = bpf_ntohs(fragment.offset);
			p->in_fragments = offset & 1 || offset >> 3;
			if (offset >> 3)
				return fragment_kind(p, offset >> 3);
			break;
		default:
			if (fragmented)
				cover_transport(p, fragmented);
			return p->l4 > p->end ? PACKET_MALFORMED : PACKET_TRANSPORT;
		}
	}
	p->protocol = IPPROTO_HOPOPTS; /* what follows is not known */
	return PACKET_MALFORMED;
}

static __always_inline int is_ext_header(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_AH || next == IPPROTO_FRAGMENT || next == 135;
}

static __always_inline int parse_v6(struct __sk_buff *ctx, struct packet *p, const __u32 at)
{
	struct ipv6hdr ip;
	__u32 payload;

	if (bpf_skb_load_bytes(ctx, at, &ip, sizeof(ip)))
		return PACKET_MALFORMED;
	set_v6(&p->source, &ip.saddr);
	set_v6(&p->destination, &ip.daddr);
	payload = bpf_ntohs(ip.payload_len);
	if (payload == 0 && ctx->gso_size) /* BIG TCP */
		payload = ctx->len - at - sizeof(ip);
	if (ip.version != 6 || at + sizeof(ip) + payload > ctx->len)
		return PACKET_MALFORMED;
	/* ::ffff:a.b.c.d never stands in a packet (RFC 4291, 2.5.5.2): it would pass for IPv4. */
	if (is_v4(&p->source) || is_v4(&p->destination))
		return PACKET_MALFORMED;
	p->protocol = ip.nexthdr;
	p->hop_limit = ip.hop_limit;
	p->l4 = at + sizeof(ip);
	p->end = p->l4 + payload;
	if (is_ext_header(p->protocol)) {
		int kind = parse_v6_ext(ctx, p);

		if (kind != PACKET_TRANSPORT)
			return kind;
	}
	return parse_transport(ctx, p);
}

/* Fills `p`, which the caller has zeroed. `at`: the length of the frame's header, 0 if there is none. */
GLOBAL int parse_packet(struct __sk_buff *ctx, struct packet *p, __u32 at)
{
	if (!p || at > ETH_HLEN)
		return 0;
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		p->kind = parse_v4(ctx, p, at);
	else if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		p->kind = parse_v6(ctx, p, at);
	else
		p->kind = ctx->protocol == bpf_htons(ETH_P_ARP) ? PACKET_ARP : PACKET_OTHER;
	return 0;
}

/*
 * The packet that an ICMP error quotes; PACKET_TRANSPORT only if it can be placed in a flow. Who gets
 * the error may not look at more than the quoted addresses: they are there if anything is.
 */
GLOBAL int parse_quoted(struct __sk_buff *ctx, const struct packet *error, struct packet *p)
{
	__be32 ports;
	int kind = PACKET_TRANSPORT;
	__u32 at;

	if (!error || !p)
		return PACKET_MALFORMED;
	at = error->l4 + sizeof(struct icmp_start);
	if (error->protocol == IPPROTO_ICMP) {
		struct iphdr ip;

		if (at + sizeof(ip) > error->end || bpf_skb_load_bytes(ctx, at, &ip, sizeof(ip)))
			return PACKET_MALFORMED;
		set_v4(&p->source, ip.saddr);
		set_v4(&p->destination, ip.daddr);
		if (ip.version != 4 || ip.ihl < 5 || (ip.frag_off & bpf_htons(IP_FRAGMENT_OFFSET)))
			return PACKET_MALFORMED;
		p->protocol = ip.protocol;
		p->l4 = at + ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (at + sizeof(ip) > error->end || bpf_skb_load_bytes(ctx, at, &ip, sizeof(ip)))
			return PACKET_MALFORMED;
		__builtin_memcpy(&p->source, &ip.saddr, sizeof(p->source));
		__builtin_memcpy(&p->destination, &ip.daddr, sizeof(p->destination));
		if (ip.version != 6)
			return PACKET_MALFORMED;
		p->protocol = ip.nexthdr;
		p->l4 = at + sizeof(ip);
	}
	p->end = error->end;
	if (error->protocol == IPPROTO_ICMPV6 && is_ext_header(p->protocol))
		kind = parse_v6_ext(ctx, p);
	if (kind != PACKET_TRANSPORT)
		return PACKET_MALFORMED;
	/* At least 8 bytes of the transport header are quoted (RFC 792). */
	if (p->l4 + 8 > p->end || bpf_skb_load_bytes(ctx, p->l4, &ports, sizeof(ports)))
		return PACKET_MALFORMED;
	if (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP ||
	    p->protocol == IPPROTO_SCTP) {
		p->source_port = (__be16)ports;
		p->destination_port = (__be16)(ports >> 16);
	} else if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6) {
		struct icmp_start icmp;

		if (bpf_skb_load_bytes(ctx, p->l4, &icmp, sizeof(icmp)))
			return PACKET_MALFORMED;
		use_echo(p, &icmp);
	}
	return PACKET_TRANSPORT;
}

#endif
