#!/usr/bin/env python3
"""Makes a Pipz export of any size, with the dirt that real ones have in it. The same arguments give the same bytes.

    scale.py --companies 2000 --contacts 10000 --deals 5000 --seed 7 --out DIR [--events 20000] [--changed 1]

The sample in deploy/samples/pipz-to-odoo/exports is `--companies 40 --contacts 120 --deals 60 --seed 1`. Every kind of dirt
of the lists below occurs at least once and, in larger exports, in about one record of 25. There is one event for each
contact unless `--events` says otherwise, in no order. `--changed PCT` is the same export some
days later: that share of the clean companies, contacts and deals differs in one plain field, and nothing else does. Prints
how many rows differ from the export without it.
"""

import argparse
import csv
import io
import json
import os
import random
import unicodedata

FIRST = "Ana Beatriz Bruno Caio Camila Carla César Cláudia Conceição Davi Débora Érica Felipe Fernanda Flávio Gabriela Guilherme Helena Heloísa Hugo Inês Isabela João Joaquim José Juliana Júlio Larissa Leonardo Letícia Lívia Lúcia Luís Mara Marcelo Márcio Maria Marina Mateus Mônica Natália Otávio Patrícia Paulo Rafael Raíssa Renata Ricardo Rodrigo Sérgio Sílvia Tânia Thiago Valéria Vinícius Vitória Yara".split()
LAST = "Almeida Alves Andrade Araújo Barbosa Batista Cardoso Carvalho Costa Dias Fernandes Ferreira Gomes Gonçalves Guimarães Leite Lima Lopes Machado Magalhães Martins Melo Mendonça Monteiro Moraes Nascimento Nóbrega Oliveira Pereira Pinto Queirós Ramos Ribeiro Rocha Santos Silva Simões Souza Teixeira Vasconcelos Vieira".split()
TRADE = ["Padaria", "Transportes", "Indústria", "Clínica", "Construções", "Confecções", "Distribuidora", "Farmácia", "Gráfica", "Laticínios", "Móveis", "Papelaria", "Supermercado", "Tecnologia", "Têxtil", "Usina"]
WORDS = ["São João", "Boa Esperança", "Três Irmãos", "Araucária", "Ipê Amarelo", "Capão Redondo", "Vitória-Régia", "Maranhão", "Ribeirão", "do Sertão", "Nossa Senhora", "Atlântica", "Pão & Cia", "União", "Pioneira", "Horizonte"]
CITIES = [("São Paulo", "SP", "01310-100"), ("Florianópolis", "SC", "88010-400"), ("Belém", "PA", "66010-000"), ("Brasília", "DF", "70040-010"), ("Goiânia", "GO", "74010-010"), ("Maceió", "AL", "57020-000"), ("Vitória", "ES", "29010-002"), ("Curitiba", "PR", "80010-000"), ("Uberlândia", "MG", "38400-100"), ("Recife", "PE", "50030-230")]
STREETS = ["Rua das Acácias", "Av. Brigadeiro Faria Lima", "Praça da Sé", "Rua XV de Novembro", "Travessa São José", "Alameda dos Ipês"]
JOBS = ["Compradora", "Diretor Técnico", "Sócia", "Gerente de Produção", "Analista", "Proprietário", "Coordenadora de TI", ""]
CONTACT_TAGS = ["cliente", "vip", "feira 2026", "indicação", "newsletter", "São Paulo", "revenda", "☕ café"]
COMPANY_TAGS = ["cliente", "atacado", "indústria", "inadimplente", "vip"]
DEAL_TAGS = ["urgente", "renovação", "licitação", "exportação 🚢"]
PLANS = ["", "Básico", "Pro", "Corporativo"]
NOTES = ["Pediu nova proposta até sexta.", "Quer desconto de 10 % à vista; decisão com a diretoria.", "Reunião remarcada.\nLevar catálogo e amostras.", "", "Concorrente: preço menor, prazo maior."]
LOST = ["Preço", "Sem orçamento", "Escolheu o concorrente", "Não respondeu"]

USERS = [  # id, name, email, active; number 4 is known to nobody in Odoo, 6 cannot be one
    (1, "Amélia Prado", "amelia.prado@vendas.example", "sim"),
    (2, "Otto Brandão", "otto.brandao@vendas.example", "sim"),
    (3, "Zuleica Néri", "zuleica.neri@vendas.example", "sim"),
    (4, "Visitante Antigo", "visitante@fora.example", "sim"),
    (5, "Eugênio Saraiva", "eugenio.saraiva@vendas.example", "não"),
    (6, "Conta sem e-mail", "", "sim"),
]
PIPELINES = [(10, "Vendas"), (20, "Pós-venda e Renovação"), (30, "Licitações")]
STAGES = [  # id, name, position, pipeline, type, probability: New, Proposition and Won are names of Odoo's own stages
    (101, "New", 1, 10, "open", "10"), (102, "Negociação", 2, 10, "open", "40"), (103, "Proposition", 3, 10, "open", "66,5"), (104, "Won", 4, 10, "won", "100"),
    (201, "Contato", 1, 20, "open", "20"), (202, "Renovação em curso", 2, 20, "open", "60"), (203, "Fechado ✔", 3, 20, "won", "100"),
    (301, "Edital", 1, 30, "open", "5"), (302, "Habilitação", 2, 30, "open", "30"), (303, "Adjudicado", 3, 30, "won", "100"),
]

TRIGGERS = {  # what happens when a deal enters a stage
    103: [{"type": "email", "template": "Proposta enviada", "delay_days": 0}, {"type": "task", "title": "Ligar em 3 dias", "delay_days": 3}],
    104: [{"type": "webhook", "url": "https://erp.acme.example/hooks/won"}],
    302: [{"type": "notify", "users": ["zuleica.neri@vendas.example"], "message": "Documentos: \"habilitação\" até sexta; =1+1"}],
}


def rule(field, comparator, value=None):
    return {"field": field, "comparator": comparator, "value": value}


def group(operator, *rules):
    return {"operator": operator, "rules": list(rules)}


SEGMENTS = [  # id, name, count, rules: those that Odoo can say, those that it cannot, and the dirt that comes with them
    (501, "Clientes do Recife", 12, group("and", rule("city_name", "equals", "Recife"), rule("tags", "contains", "cliente"))),
    (502, "VIP ou revenda, sem inadimplentes", 31, group("and", group("or", rule("tags", "contains", "vip"), rule("tags", "contains", "revenda")), group("not", rule("tags", "contains", "inadimplente")))),
    (503, "Engajados", 40, group("and", rule("score", "greater_than", 70), rule("optin", "equals", True), rule("email", "is_not_empty"))),
    (504, "Abriram nos últimos 30 dias", 22, group("and", rule("last_event", "in_the_last_days", 30), rule("city_name", "equals", "Belém"))),
    (505, "Novos de 2026", 18, rule("creation_date", "on_or_after", "01/01/2026")),
    (506, "Língua portuguesa", 101, rule("language", "in", ["pt-br", "pt"])),
    (507, "Só pt-br", 88, rule("language", "equals", "pt-br")),
    (508, "Sudeste", 54, group("or", *(rule("state", "equals", s) for s in ("SP", "MG", "ES", "RJ")))),
    (509, "Aninhado demais", 3, group("and", group("or", group("and", group("or", rule("job_title", "contains", "100%_real"), rule("job_title", "starts_with", "Dir")))))),
    (510, "Sem regras", 0, None),
    (511, "Grupo vazio", 0, group("or")),
    (512, "Expressão de gente", 7, {"operator": "R1 e (R2 ou R3)", "rules": [rule("score", "gt", 10)]}),
    (513, "=Fórmula, \"aspas\" e\nlinha", 1, rule("email", "ends_with", "@correio.example")),
    ("", "Sem id", 1, rule("score", "gt", 10)),
]
AUTOMATIONS = [  # id, name, status, trigger, conditions, actions
    (801, "Boas-vindas", "active", {"type": "contact_created", "name": "Contato criado"}, [rule("optin", "equals", True)], [{"type": "email", "name": "Bem-vindo"}, {"type": "wait", "name": "2 dias"}, {"type": "email", "name": "Catálogo"}]),
    (802, "Marcou VIP", "active", {"type": "tag_added", "name": "vip"}, [], [{"type": "notify", "name": "Amélia"}]),
    (803, "Proposta parada", "paused", {"type": "deal_stage_changed", "name": "Proposition"}, [group("and", rule("amount", "gt", 10000))], [{"type": "task", "name": "Ligar"}]),
    (804, "Aniversário", "active", {"type": "date", "name": "birthdate"}, None, [{"type": "email", "name": "Parabéns 🎉"}]),
    (805, "Formulário do site", "active", {"type": "form_submitted", "name": "Fale conosco"}, [], [{"type": "create_deal", "name": "Vendas"}]),
    (806, "Sem gatilho", "draft", None, None, []),
    (807, "Gatilho que ninguém conhece", "draft", {"type": "api_event", "name": "nps_respondido"}, [rule("nps_score", "lt", 7)], [{"type": "webhook", "name": "https://erp.acme.example/nps"}]),
    (808, "Reativação", "active", {"type": "segment_entered", "name": "Engajados"}, [], [{"type": "email"}]),
    (809, "Perda", "active", {"type": "deal_lost"}, [], [{"type": "add_tag", "name": "perdido"}, {"type": "wait"}, {"type": "email", "name": "O que faltou?"}]),
    (801, "Boas-vindas (cópia)", "active", {"type": "contact_created", "name": "Contato criado"}, [], []),
]

LISTS = [  # id, name: two have one name, one has none, one comes twice
    (901, "Newsletter"), (902, "Clientes São Paulo"), (903, "Feira 2026 🎪"), (904, "Inativos"), (905, "Ofertas: \"até 50 %\""), (906, "Newsletter"),
    (907, "Revendas"), (908, "Parceiros"), (909, "Pós-venda"), (910, "Imprensa"), (911, ""), (912, "Lista vazia"), (902, "Clientes (cópia)"),
]
UNKNOWN_LIST = 999
CAMPAIGNS = [  # id, name, subject, sent_at, status, html, list_ids, sent, opens, clicks, unsubscribes
    (601, "Boas-vindas", "Bem-vindo à Acme!", "2025-03-01T09:00:00", "sent", "<p>Olá <b>{{ nome }}</b>, que bom ter você aqui.</p>", [901], 1200, 480, 96, 3),
    (602, "Feira 2026", "Vemo-nos na feira? 🎪", "2025-11-15T08:30:00.250", "sent", "<h1>Estande 12</h1><p>Até lá &amp; boa viagem</p>", [903, 902], 800, 200, 50, 1),
    (603, "Ofertas de março", "Até 50 % de desconto", "20/03/2025 10:00", "sent", "<table><tr><td>Só hoje</td></tr></table>", [905], "1.234", "617", "61", "2"),
    (604, "Rascunho", None, None, "draft", None, [], 0, 0, 0, 0),
    (605, "Com script", "Cuidado", "2025-05-05T05:05:05", "sent", "<p>Antes</p><script>alert(1)</script><p onclick=\"x()\">Depois</p>", [901], 10, 1, 0, 0),
    (606, "Lista que sumiu", "Quem recebe?", "2025-06-01T12:00:00", "sent", "<p>Oi</p>", [901, UNKNOWN_LIST], 300, 90, 9, 0),
    (607, None, "Sem nome", "2025-06-02T12:00:00", "sent", "<p>Oi</p>", [901], 1, 1, 1, 0),
    (608, "Reativação", "Sentimos sua falta", "2025-07-01T12:00:00", "sent", "<p>Volte!</p>", [904], 5000, 250, 25, 40),
    (609, "Revenda: tabela", "Tabela nova", "2025-08-01T12:00:00", "scheduled", "<p>Tabela</p>", [907, 908], None, None, None, None),
    (610, "Imprensa", "Nota à imprensa", "2025-09-01T12:00:00", "sent", "<p>Nota</p>", [910], 40, 20, 5, 0),
    (611, "Pós-venda", "Como foi?", "2025-10-01T12:00:00", "sent", "<p>Responda</p>", [909], 77, 33, 11, 1),
    (612, "Natal", "Boas festas", "2025-12-20T12:00:00", "sent", "<p>Boas festas</p>", [901, 902, 907], 2500, 1250, 125, 5),
    (612, "Natal (cópia)", "Boas festas", "2025-12-20T12:00:00", "sent", "<p>Boas festas</p>", [901], 1, 0, 0, 0),
]
KINDS = ["email_open", "email_open", "link_click", "page_view", "page_view", "page_view", "form_submit", "email_sent"]
SAID = ["Olá, o pedido chegou?", "Vou verificar com a transportadora.", "Preço da caixa com 12?", "R$ 48,90; acima de 10 caixas, 5 % de desconto.", "Fechado 👍", "Obrigada!\n\nAté amanhã.", "<b>urgente</b> & sem falta"]

COMPANY_DIRT = ["duplicate", "duplicateDiffers", "noName", "nothing", "onlyName", "badDate", "brazilianNumber", "unknownCountry", "halfEmployee", "lineEnd", "quotes", "sameWebsite"]
CONTACT_DIRT = ["duplicate", "duplicateDiffers", "noName", "nothing", "missingParent", "namedCompany", "namedLikeCompany", "badBirthdate", "badDate", "unknownOwner", "emoji", "longValue", "optedOut", "brazilianDate", "noId", "broken", "unknownLanguage"]
DEAL_DIRT = ["duplicate", "wonAtHalf", "lostInWonStage", "wonInOpenStage", "byNames", "byNamesOfOdoo", "missingContact", "byEmail", "byCompanyName", "unknownOwner", "ownerByEmail", "badDate", "badAmount", "noName", "longNote", "markup", "brazilianAmount", "noAmount", "lost", "quotes"]
EVENT_DIRT = ["duplicate", "duplicateDiffers", "unknownContact", "noContact", "badDate", "noDate", "unknownKind", "kindInCapitals", "noKind", "unknownAgent", "agentByEmail", "unknownAgentByEmail", "markup", "emoji", "longMessage", "brazilianDate", "fraction", "noId", "broken", "byEmail", "nothingSaid", "firstOfThreadIsBad"]
MEMBER_DIRT = ["twice", "unsubscribed", "unknownContact", "unknownList", "withoutAddress"]
CLEAN = ""


def ascii_word(text):
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "".join(c for c in text if c.isalnum())


def dirt(rng, count, kinds):
    """A kind of dirt, or none, for each of `count` records."""
    found = [CLEAN] * count
    dirty = min(count, max(len(kinds), count // 25))
    for turn, place in enumerate(sorted(rng.sample(range(count), dirty))):
        found[place] = kinds[turn % len(kinds)]
    return found


def moment(rng, fraction=False):
    text = f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
    return text + f".{rng.randint(1, 999999):06}" if fraction else text


def some(rng, words, most):
    return rng.sample(words, rng.randint(0, most))


def number(amount):
    return f"{amount:.2f}"


def brazilian(amount):
    return f"{amount:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


def company(rng, ident, kind):
    city, state, code = rng.choice(CITIES)
    name = f"{rng.choice(TRADE)} {rng.choice(WORDS)} {ident} {rng.choice(['Ltda', 'S.A.', 'ME', 'EIRELI'])}"
    site = f"www.{ascii_word(name)}.example"
    row = {
        "id": str(ident), "remote_id": f"C-{ident:05}", "name": name, "website": site, "email": f"contato@{site[4:]}", "phone": f"+55 11 4{ident % 1000:03}-{ident % 9999:04}",
        "address_1": f"{rng.choice(STREETS)}, {rng.randint(1, 3000)}", "address_2": rng.choice(["", "Sala 12", "3º andar"]), "city_name": city, "state": state, "postal_code": code,
        "country_code": "BR", "industry": rng.choice(["", "Alimentação", "Saúde", "Construção", "Serviços"]), "number_of_employees": str(rng.randint(1, 900)), "plan": rng.choice(PLANS),
        "monthly_spend": number(rng.randint(0, 500000) / 100), "tags": ",".join(some(rng, COMPANY_TAGS, 3)), "creation_date": moment(rng),
        "company_custom_cnpj": f"{rng.randint(10, 99)}.{rng.randint(100, 999)}.{rng.randint(100, 999)}/0001-{rng.randint(10, 99)}",
    }
    if kind == "noName":
        row["name"] = ""
    elif kind == "nothing":
        row["name"] = row["website"] = ""
    elif kind == "onlyName":
        row.update({k: "" for k in row if k not in ("id", "name")})
    elif kind == "badDate":
        row["creation_date"] = "ontem à tarde"
    elif kind == "brazilianNumber":
        row["monthly_spend"] = brazilian(1234.56 + ident)
    elif kind == "unknownCountry":
        row["country_code"] = "XX"
    elif kind == "halfEmployee":
        row["number_of_employees"] = "12,5"
    elif kind == "lineEnd":
        row["address_1"] += "\nFundos"
    elif kind == "quotes":
        row["name"] = f'"O Rei do Pão"; Filial {ident}'
    elif kind == "sameWebsite":
        row["website"] = "www.grupo-familia.example"
    return row


def contact(rng, ident, kind, companies):
    first, last = rng.choice(FIRST), f"{rng.choice(LAST)} {rng.choice(LAST)}"
    city, state, code = rng.choice(CITIES)
    parent = rng.choice(companies) if companies and rng.random() < 0.8 else None
    row = {
        "id": ident, "remote_id": f"user-{ident}", "name": f"{first} {last} {ident}", "email": f"{ascii_word(first)}.{ascii_word(last)}.{ident}@correio.example",
        "phone": f"+55 11 3{ident % 1000:03}-{ident % 9999:04}", "mobile_phone": rng.choice([None, f"+55 11 9{ident % 10000:04}-{ident % 9999:04}"]), "job_title": rng.choice(JOBS),
        "company": parent["name"] if parent else None, "company_id": int(parent["id"]) if parent else None, "owner_id": rng.choice([1, 2, 3, 5, None]),
        "tags": some(rng, CONTACT_TAGS, 3), "optin": True, "city_name": city, "state": state, "postal_code": code, "country_code": "BR", "website": "",
        "language": rng.choice(["pt-br", "en", None]), "timezone": "America/Sao_Paulo", "gender": rng.choice(["f", "m", None]), "birthdate": f"{rng.randint(1950, 2005)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        "lifecycle_stage": rng.choice(["lead", "cliente", "oportunidade"]), "score": rng.randint(0, 100), "nps_score": rng.choice([None, rng.randint(0, 10)]), "emails_sent": rng.randint(0, 80),
        "opens": rng.randint(0, 40), "clicks": rng.randint(0, 10), "page_views": rng.randint(0, 300), "utm_source": rng.choice(["google", "indicação", ""]), "utm_medium": rng.choice(["cpc", ""]), "utm_campaign": "",
        "last_event_date": moment(rng), "creation_date": moment(rng, fraction=True), "contact_custom_codigo_alumni": rng.choice(["", f"A-{ident}"]),
    }
    if kind == "noName":
        row["name"] = ""
    elif kind == "nothing":
        row.update(name="", email="")
    elif kind == "missingParent":
        row.update(company_id=900000 + ident, company=None)
    elif kind == "namedCompany":
        row.update(company_id=None, company=rng.choice(["Mercearia do Zé", "Ateliê Çá & Lá", "Oficina 24h 🔧"]))
    elif kind == "namedLikeCompany" and companies:
        row.update(company_id=None, company=rng.choice(companies)["name"])
    elif kind == "badBirthdate":
        row["birthdate"] = "31/02/1990"
    elif kind == "badDate":
        row["creation_date"] = "2025-13-45T00:00:00"
    elif kind == "unknownOwner":
        row["owner_id"] = 99
    elif kind == "emoji":
        row["name"] = f"Zoë 🚀 D'Ávila, \"a Chefe\" {ident}"
    elif kind == "longValue":
        row["job_title"] = "Responsável por tudo — " * 100 + str(ident)
    elif kind == "optedOut":
        row["optin"] = False
    elif kind == "brazilianDate":
        row["birthdate"] = f"{ident % 27 + 1:02}/07/1988"
    elif kind == "noId":
        row["id"] = None
    elif kind == "unknownLanguage":
        row["language"] = "tlh"
    return row


def deal(rng, ident, kind, contacts, companies):
    pipe, pipe_name = rng.choice(PIPELINES)
    mine = [s for s in STAGES if s[3] == pipe]
    status = rng.choice(["open", "open", "open", "won", "lost", "ganho", "perdido"])
    won, lost = status in ("won", "ganho"), status in ("lost", "perdido")
    stage = mine[-1] if won else rng.choice(mine[:-1])
    who = rng.choice(contacts)
    amount = rng.randint(0, 9000000) / 100
    row = {
        "id": str(ident), "name": f"Proposta {ident}: {rng.choice(TRADE)} {rng.choice(WORDS)}", "value": number(amount), "pipeline_id": str(pipe), "pipeline": "", "stage_id": str(stage[0]), "stage": "",
        "status": status, "probability": "100" if won else "0" if lost else stage[5], "owner_id": str(rng.choice([1, 2, 3, ""])), "owner": "", "contact_id": str(who["id"]), "contact_email": "",
        "company_id": "", "company_name": "", "expected_close_date": f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}", "close_date": moment(rng) if won or lost else "",
        "creation_date": moment(rng), "lost_reason": rng.choice(LOST) if lost else "", "tags": ",".join(some(rng, DEAL_TAGS, 2)), "description": rng.choice(NOTES), "contract_no": f"CT/{ident}" if won else "",
    }
    close = {"status": "won", "stage_id": str(mine[-1][0]), "close_date": row["creation_date"], "lost_reason": ""}
    if kind == "wonAtHalf":
        row.update(close, probability="50")
    elif kind == "lostInWonStage":
        row.update(close, status="lost", probability="0", lost_reason=LOST[0])
    elif kind == "wonInOpenStage":
        row.update(close, stage_id=str(mine[0][0]), probability="100")
    elif kind == "byNames":
        row.update(pipeline_id="", pipeline="Parcerias", stage_id="", stage=rng.choice(["Primeiro contato", "Negociação"]), status="open", probability="25", close_date="", lost_reason="", contract_no="")
    elif kind == "byNamesOfOdoo":
        row.update(pipeline_id="", pipeline="Parcerias", stage_id="", stage="Qualified", status="open", probability="25", close_date="", lost_reason="", contract_no="")
    elif kind == "missingContact":
        row["contact_id"] = str(900000 + ident)
    elif kind == "byEmail":
        row.update(contact_id="", contact_email=who["email"])
    elif kind == "byCompanyName" and companies:
        row.update(contact_id="", company_name=rng.choice(companies)["name"])
    elif kind == "unknownOwner":
        row["owner_id"] = "99"
    elif kind == "ownerByEmail":
        row.update(owner_id="", owner="zuleica.neri@vendas.example")
    elif kind == "badDate":
        row["expected_close_date"] = "em breve"
    elif kind == "badAmount":
        row["value"] = "a combinar"
    elif kind == "noName":
        row["name"] = ""
    elif kind == "longNote":
        row["description"] = ("Histórico da negociação nº %d.\n" % ident + "Reunião com a diretoria: ação, decisão, prazo; 100 % de atenção. " * 100)[:5000]
    elif kind == "markup":
        row["description"] = "Preço < 1.000 & prazo > 30 dias 👍 <b>negrito</b>"
    elif kind == "brazilianAmount":
        row["value"] = brazilian(amount + 1234.56)
    elif kind == "noAmount":
        row["value"] = ""
    elif kind == "lost":
        row.update(status="perdida", probability="0", stage_id=str(mine[0][0]), lost_reason=LOST[1], close_date=row["creation_date"], contract_no="")
    elif kind == "quotes":
        row["name"] = f'Proposta "especial", lote {ident};\nsegunda linha'
    return row


def events(rng, count, kinds, contacts):
    """Clicks, visits and chats in no order. Dirt is in what an event says, or in whom and when it names."""
    rows, chat = [], None
    for place, kind in enumerate(kinds):
        who = rng.choice(contacts)
        row = {"id": 500000 + place, "type": rng.choice(KINDS), "contact_id": who["id"], "contact_email": None, "occurred_at": moment(rng), "title": None, "url": None, "message": None, "agent_id": None, "agent_email": None, "conversation_id": None}
        if chat is None and (rng.random() < 0.1 or kind == "firstOfThreadIsBad"):
            chat = {"id": f"chat-{place}", "who": who, "left": rng.randint(2, 6), "day": rng.randint(1, 28), "month": rng.randint(1, 12), "minute": 0}
        if chat is not None and kind != "byEmail":
            row.update(type="chat_message", contact_id=chat["who"]["id"], conversation_id=chat["id"], message=rng.choice(SAID), agent_id=rng.choice([None, 1, 2, 3]),
                       occurred_at=f"2025-{chat['month']:02}-{chat['day']:02}T10:{chat['minute']:02}:00")
            chat.update(left=chat["left"] - 1, minute=chat["minute"] + rng.randint(0, 3))       # several in one minute: their order is the file's
            chat = chat if chat["left"] else None
        elif row["type"] in ("page_view", "link_click"):
            row.update(title=rng.choice(["Página inicial", "Preços", "Contato", "Blog: 10 dicas"]), url=f"https://www.acme.example/p/{rng.randint(1, 40)}?utm_source=pipz&x={rng.randint(1, 9)}")
        else:
            row["title"] = rng.choice(["Feira 2026", "Ofertas de março", "Boas-vindas", "Fale conosco"])
        if kind == "unknownContact":
            row["contact_id"] = 990000 + place
        elif kind == "noContact":
            row["contact_id"] = None
        elif kind == "badDate":
            row["occurred_at"] = "anteontem"
        elif kind in ("noDate", "firstOfThreadIsBad"):                     # the thread hangs on its second message then
            row["occurred_at"] = ""
        elif kind == "unknownKind":
            row["type"] = "nps_respondido"
        elif kind == "kindInCapitals":
            row["type"] = "Page_View"
        elif kind == "noKind":
            row["type"] = None
        elif kind == "unknownAgent":
            row.update(type="chat_message", agent_id=4, message="De quem já saiu")
        elif kind == "agentByEmail":
            row.update(type="chat_message", agent_id=None, agent_email="zuleica.neri@vendas.example", message="Por e-mail")
        elif kind == "unknownAgentByEmail":
            row.update(type="chat_message", agent_id=None, agent_email="robo@fora.example", message="Sou um robô")
        elif kind == "markup":
            row["message"] = "Preço < 1.000 & prazo > 30 dias\n<script>alert('x')</script> \"aspas\""
        elif kind == "emoji":
            row["title"] = "Promoção 🚀 de verão ☀️"
        elif kind == "longMessage":
            row["message"] = ("Atendimento nº %d, transcrição.\n" % place + "Ação, decisão, prazo; 100 % de atenção. " * 200)[:6000]
        elif kind == "brazilianDate":
            row["occurred_at"] = f"{place % 27 + 1:02}/07/2025 14:30"
        elif kind == "fraction":
            row["occurred_at"] += ".123456"
        elif kind == "noId":
            row["id"] = None
        elif kind == "byEmail":
            row.update(contact_id=None, contact_email=who["email"])
        elif kind == "nothingSaid":
            row.update(title=None, url=None, message=None)
        rows.append(row)
    return rows


def members(rng, contacts):
    """Who is on which list, with one of each kind of dirt."""
    rows, alone = [], {"unsubscribed_at": ""}
    for who in contacts:
        for ident in sorted(rng.sample([i for i, name in LISTS[:10]], rng.randint(0, 3))):
            rows.append({"list_id": str(ident), "contact_id": str(who["id"]), **alone})
    for kind, place in zip(MEMBER_DIRT, rng.sample(range(len(rows)), min(len(rows), len(MEMBER_DIRT)))):
        row = rows[place]
        if kind == "twice":
            rows.append(dict(row))
        elif kind == "unsubscribed":
            row["unsubscribed_at"] = "2025-08-30T10:00:00"
        elif kind == "unknownContact":
            row["contact_id"] = "990001"
        elif kind == "unknownList":
            row["list_id"] = str(UNKNOWN_LIST)
        elif kind == "withoutAddress":
            row["contact_id"] = str(4000000)
    return rows


def with_duplicates(rows, kinds, field, value):
    """Some rows come twice: the second one the same, or differing in one field."""
    out = []
    for row, kind in zip(rows, kinds):
        out.append(row)
        if kind == "duplicate":
            out.append(dict(row))
        elif kind == "duplicateDiffers":
            out.append({**row, field: value})
    return out


def changed(rng, rows, kinds, percent, change):
    clean = [i for i, kind in enumerate(kinds) if kind == CLEAN]
    for i in rng.sample(clean, round(len(clean) * percent / 100)):
        rows[i] = {**rows[i], **change(rows[i])}
    return round(len(clean) * percent / 100)


def in_no_order(rng, rows):
    """Shuffled in runs, as exports of several months come."""
    runs = [rows[i:i + 10] for i in range(0, len(rows), 10)]
    rng.shuffle(runs)
    return [row for run in runs for row in run]


def as_csv(rows, delimiter=",", bom=False, encoding="utf-8"):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\r\n" if delimiter == ";" else "\n")
    writer.writeheader()
    writer.writerows(rows)
    return (b"\xef\xbb\xbf" if bom else b"") + out.getvalue().encode(encoding)


def as_lines(rows, kinds_by_id):
    lines = []
    for row in rows:
        text = json.dumps(row, ensure_ascii=False)
        lines.append(text[:len(text) // 2] if kinds_by_id.get(row["id"]) == "broken" else text)
    return ("\n".join(lines) + "\n").encode()


def generate(companies, contacts, deals, seed, percent=0, happened=None):
    """File names to bytes, and how many rows `percent` changed."""
    rng = random.Random(seed)
    kinds = {"company": dirt(rng, companies, COMPANY_DIRT), "contact": dirt(rng, contacts, CONTACT_DIRT), "deal": dirt(rng, deals, DEAL_DIRT)}
    rows = {"company": [company(rng, i + 1, kind) for i, kind in enumerate(kinds["company"])]}
    plain = [r for r, kind in zip(rows["company"], kinds["company"]) if kind == CLEAN]
    rows["contact"] = [contact(rng, 4000 + i, kind, plain) for i, kind in enumerate(kinds["contact"])]
    known = [r for r, kind in zip(rows["contact"], kinds["contact"]) if kind == CLEAN]
    rows["deal"] = [deal(rng, 70000 + i, kind, known, plain) for i, kind in enumerate(kinds["deal"])]
    later = random.Random(seed + 1)
    history = random.Random(seed + 2)                       # of its own: what was there before it stays as it was
    kinds["event"] = dirt(history, contacts if happened is None else happened, EVENT_DIRT)
    rows["event"] = events(history, len(kinds["event"]), kinds["event"], known)
    rows["list_member"] = members(history, rows["contact"])
    differing = {
        "company": changed(later, rows["company"], kinds["company"], percent, lambda r: {"phone": r["phone"] + "1"}),
        "contact": changed(later, rows["contact"], kinds["contact"], percent, lambda r: {"job_title": "Promovida em dezembro"}),
        "deal": changed(later, rows["deal"], kinds["deal"], percent, lambda r: {"value": number(float(r["value"]) + 1000)}),
    }
    broken = {r["id"]: kind for r, kind in zip(rows["contact"], kinds["contact"])}
    broken_events = {r["id"]: kind for r, kind in zip(rows["event"], kinds["event"])}
    for name, field, value in ("company", "phone", "+55 11 0000-0000"), ("contact", "job_title", "Outro cargo"), ("deal", "value", "1"), ("event", "title", "Outro título"):
        rows[name] = with_duplicates(rows[name], kinds[name], field, value)
    files = {
        "user.csv": as_csv([dict(zip(("id", "name", "email", "active"), u)) for u in USERS]),
        "pipeline.csv": as_csv([dict(zip(("id", "name"), p)) for p in PIPELINES]),
        "stage.csv": as_csv([{**dict(zip(("id", "name", "position", "pipeline_id", "type", "probability"), s)), "triggers": json.dumps(TRIGGERS[s[0]], ensure_ascii=False) if s[0] in TRIGGERS else ""} for s in STAGES]),
        "company.csv": as_csv(rows["company"], delimiter=";", encoding="latin-1"),
        "contact.jsonl": as_lines(rows["contact"], broken),
        "deal.csv": as_csv(rows["deal"], bom=True),
        "event.jsonl": as_lines(in_no_order(history, rows["event"]), broken_events),
        "list.csv": as_csv([dict(zip(("id", "name"), one)) for one in LISTS]),
        "list_member.csv": as_csv(rows["list_member"], delimiter=";"),
        "campaign.jsonl": as_lines([dict(zip(("id", "name", "subject", "sent_at", "status", "html", "list_ids", "sent", "opens", "clicks", "unsubscribes"), c)) for c in CAMPAIGNS], {}),
        "segment.jsonl": as_lines([dict(zip(("id", "name", "count", "rules"), s)) for s in SEGMENTS], {}),
        "automation.jsonl": as_lines([dict(zip(("id", "name", "status", "trigger", "conditions", "actions"), a)) for a in AUTOMATIONS], {}),
    }
    return files, differing


def main():
    cli = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in "companies", "contacts", "deals":
        cli.add_argument("--" + name, type=int, required=True)
    cli.add_argument("--seed", type=int, required=True)
    cli.add_argument("--out", required=True)
    cli.add_argument("--events", type=int)
    cli.add_argument("--changed", type=float, default=0, metavar="PCT")
    given = cli.parse_args()
    files, differing = generate(given.companies, given.contacts, given.deals, given.seed, given.changed, given.events)
    os.makedirs(given.out, exist_ok=True)
    for name, content in files.items():
        with open(os.path.join(given.out, name), "wb") as file:
            file.write(content)
    print(json.dumps(differing))


if __name__ == "__main__":
    main()
